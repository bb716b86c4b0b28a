//! `wharf:documents-async`: async functions and streams for the guest. No operation holds the Store while it waits.

use std::sync::Arc;

use wasmtime::component::{Access, Accessor, FutureReader, Resource, StreamReader};

use super::{
    Answer, Collection, Cursor, Database, Transaction,
    bindings::concurrent::wharf::documents_async::database::{
        Host, HostCollection, HostCollectionWithStore, HostCursor, HostCursorWithStore, HostDatabase, HostDatabaseWithStore,
        HostTransaction, HostTransactionWithStore,
    },
    keep, open,
};
use crate::{
    driver::documents::types::{
        AggregateOptions, Batch, BulkOptions, CountOptions, DeleteOptions, DistinctOptions, Error, FindAndModifyOptions,
        FindOptions, Index, InsertOptions, Modification, ReplaceOptions, TransactionOptions, Update, UpdateOptions, Write,
        WriteOutcome,
    },
    interface::{Handles, View, answer, get, push, stream::batches},
};

impl Host for View<'_> {}

impl HostDatabase for View<'_> {
    fn open(&mut self, name: String) -> Answer<Resource<Database>> {
        open(self, &name)
    }

    fn collection(&mut self, this: Resource<Database>, name: String) -> Answer<Resource<Collection>> {
        let opened = self.table.get(&this)?.collection(&name);
        keep(self, opened)
    }

    fn drop(&mut self, this: Resource<Database>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostDatabaseWithStore<T> for Handles {
    async fn list_collections(
        accessor: &Accessor<T, Self>,
        this: Resource<Database>,
        filter: Option<Vec<u8>>,
    ) -> Answer<Vec<u8>> {
        answer(get(accessor, &this)?.list_collections(filter).await)
    }

    async fn begin(
        accessor: &Accessor<T, Self>,
        this: Resource<Database>,
        options: TransactionOptions,
    ) -> Answer<Resource<Transaction>> {
        let opened = get(accessor, &this)?.begin(options).await;
        push(accessor, opened)
    }
}

impl HostCollection for View<'_> {
    fn drop(&mut self, this: Resource<Collection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostCollectionWithStore<T> for Handles {
    async fn find(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        options: FindOptions,
    ) -> Answer<Batch> {
        answer(get(accessor, &this)?.find(filter, options).await)
    }

    async fn find_one(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        options: FindOptions,
    ) -> Answer<Option<Vec<u8>>> {
        answer(get(accessor, &this)?.find_one(filter, options).await)
    }

    async fn cursor(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        options: FindOptions,
    ) -> Answer<Resource<Cursor>> {
        let opened = get(accessor, &this)?.cursor(filter, options).await;
        push(accessor, opened)
    }

    async fn aggregate(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        pipeline: Vec<u8>,
        options: AggregateOptions,
    ) -> Answer<Batch> {
        answer(get(accessor, &this)?.aggregate(&pipeline, options).await)
    }

    async fn aggregate_cursor(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        pipeline: Vec<u8>,
        options: AggregateOptions,
    ) -> Answer<Resource<Cursor>> {
        let opened = get(accessor, &this)?.aggregate_cursor(&pipeline, options).await;
        push(accessor, opened)
    }

    async fn count(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        options: CountOptions,
    ) -> Answer<u64> {
        answer(get(accessor, &this)?.count(filter, options).await)
    }

    async fn estimated_count(accessor: &Accessor<T, Self>, this: Resource<Collection>) -> Answer<u64> {
        answer(get(accessor, &this)?.estimated_count().await)
    }

    async fn distinct(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        field: String,
        filter: Vec<u8>,
        options: DistinctOptions,
    ) -> Answer<Vec<u8>> {
        answer(get(accessor, &this)?.distinct(field, filter, options).await)
    }

    async fn insert(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        documents: Vec<u8>,
        options: InsertOptions,
    ) -> Answer<WriteOutcome> {
        answer(get(accessor, &this)?.insert(&documents, options).await)
    }

    async fn update(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        update: Update,
        options: UpdateOptions,
    ) -> Answer<WriteOutcome> {
        answer(get(accessor, &this)?.update(filter, update, options).await)
    }

    async fn replace(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        replacement: Vec<u8>,
        options: ReplaceOptions,
    ) -> Answer<WriteOutcome> {
        answer(get(accessor, &this)?.replace(filter, replacement, options).await)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        options: DeleteOptions,
    ) -> Answer<WriteOutcome> {
        answer(get(accessor, &this)?.delete(filter, options).await)
    }

    async fn find_and_modify(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        filter: Vec<u8>,
        modification: Modification,
        options: FindAndModifyOptions,
    ) -> Answer<Option<Vec<u8>>> {
        answer(get(accessor, &this)?.find_and_modify(filter, modification, options).await)
    }

    async fn bulk_write(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        writes: Vec<Write>,
        options: BulkOptions,
    ) -> Answer<WriteOutcome> {
        answer(get(accessor, &this)?.bulk_write(writes, options).await)
    }

    async fn create_indexes(
        accessor: &Accessor<T, Self>,
        this: Resource<Collection>,
        indexes: Vec<Index>,
    ) -> Answer<Vec<String>> {
        answer(get(accessor, &this)?.create_indexes(indexes).await)
    }

    async fn drop_index(accessor: &Accessor<T, Self>, this: Resource<Collection>, name: String) -> Answer<()> {
        answer(get(accessor, &this)?.drop_index(name).await)
    }

    async fn list_indexes(accessor: &Accessor<T, Self>, this: Resource<Collection>) -> Answer<Vec<u8>> {
        answer(get(accessor, &this)?.list_indexes().await)
    }
}

impl HostTransaction for View<'_> {
    fn collection(&mut self, this: Resource<Transaction>, name: String) -> Answer<Resource<Collection>> {
        let opened = self.table.get(&this)?.collection(&name);
        keep(self, opened)
    }

    fn drop(&mut self, this: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostTransactionWithStore<T> for Handles {
    async fn commit(accessor: &Accessor<T, Self>, this: Resource<Transaction>) -> Answer<()> {
        answer(get(accessor, &this)?.commit().await)
    }

    async fn abort(accessor: &Accessor<T, Self>, this: Resource<Transaction>) -> Answer<()> {
        answer(get(accessor, &this)?.abort().await)
    }
}

impl HostCursor for View<'_> {
    fn drop(&mut self, this: Resource<Cursor>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl<T: 'static> HostCursorWithStore<T> for Handles {
    async fn next(accessor: &Accessor<T, Self>, this: Resource<Cursor>, max_documents: u32) -> Answer<Option<Batch>> {
        answer(get(accessor, &this)?.next(max_documents).await)
    }

    fn batches(
        mut host: Access<T, Self>,
        this: Resource<Cursor>,
        max_documents: u32,
    ) -> Answer<(StreamReader<Batch>, FutureReader<Result<(), Error>>)> {
        let cursor = Arc::clone(host.get().table.get(&this)?);
        batches(host, cursor, max_documents)
    }

    async fn close(accessor: &Accessor<T, Self>, this: Resource<Cursor>) -> Answer<()> {
        answer(get(accessor, &this)?.close().await)
    }
}
