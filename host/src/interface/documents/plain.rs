//! `wharf:documents`: plain functions for the guest, async on the host.

use wasmtime::component::Resource;

use super::{
    Answer, Collection, Cursor, Database, Transaction,
    bindings::plain::wharf::documents::database::{Host, HostCollection, HostCursor, HostDatabase, HostTransaction},
    keep, open,
};
use crate::{
    driver::documents::types::{
        AggregateOptions, Batch, BulkOptions, CountOptions, DeleteOptions, DistinctOptions, FindAndModifyOptions, FindOptions,
        Index, InsertOptions, Modification, ReplaceOptions, TransactionOptions, Update, UpdateOptions, Write, WriteOutcome,
    },
    interface::{View, answer},
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

    async fn list_collections(&mut self, this: Resource<Database>, filter: Option<Vec<u8>>) -> Answer<Vec<u8>> {
        answer(self.table.get(&this)?.list_collections(filter).await)
    }

    async fn begin(&mut self, this: Resource<Database>, options: TransactionOptions) -> Answer<Resource<Transaction>> {
        let opened = self.table.get(&this)?.begin(options).await;
        self.push(opened)
    }

    async fn drop(&mut self, this: Resource<Database>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostCollection for View<'_> {
    async fn find(&mut self, this: Resource<Collection>, filter: Vec<u8>, options: FindOptions) -> Answer<Batch> {
        answer(self.table.get(&this)?.find(filter, options).await)
    }

    async fn find_one(&mut self, this: Resource<Collection>, filter: Vec<u8>, options: FindOptions) -> Answer<Option<Vec<u8>>> {
        answer(self.table.get(&this)?.find_one(filter, options).await)
    }

    async fn cursor(&mut self, this: Resource<Collection>, filter: Vec<u8>, options: FindOptions) -> Answer<Resource<Cursor>> {
        let opened = self.table.get(&this)?.cursor(filter, options).await;
        self.push(opened)
    }

    async fn aggregate(&mut self, this: Resource<Collection>, pipeline: Vec<u8>, options: AggregateOptions) -> Answer<Batch> {
        answer(self.table.get(&this)?.aggregate(&pipeline, options).await)
    }

    async fn aggregate_cursor(
        &mut self,
        this: Resource<Collection>,
        pipeline: Vec<u8>,
        options: AggregateOptions,
    ) -> Answer<Resource<Cursor>> {
        let opened = self.table.get(&this)?.aggregate_cursor(&pipeline, options).await;
        self.push(opened)
    }

    async fn count(&mut self, this: Resource<Collection>, filter: Vec<u8>, options: CountOptions) -> Answer<u64> {
        answer(self.table.get(&this)?.count(filter, options).await)
    }

    async fn estimated_count(&mut self, this: Resource<Collection>) -> Answer<u64> {
        answer(self.table.get(&this)?.estimated_count().await)
    }

    async fn distinct(
        &mut self,
        this: Resource<Collection>,
        field: String,
        filter: Vec<u8>,
        options: DistinctOptions,
    ) -> Answer<Vec<u8>> {
        answer(self.table.get(&this)?.distinct(field, filter, options).await)
    }

    async fn insert(&mut self, this: Resource<Collection>, documents: Vec<u8>, options: InsertOptions) -> Answer<WriteOutcome> {
        answer(self.table.get(&this)?.insert(&documents, options).await)
    }

    async fn update(
        &mut self,
        this: Resource<Collection>,
        filter: Vec<u8>,
        update: Update,
        options: UpdateOptions,
    ) -> Answer<WriteOutcome> {
        answer(self.table.get(&this)?.update(filter, update, options).await)
    }

    async fn replace(
        &mut self,
        this: Resource<Collection>,
        filter: Vec<u8>,
        replacement: Vec<u8>,
        options: ReplaceOptions,
    ) -> Answer<WriteOutcome> {
        answer(self.table.get(&this)?.replace(filter, replacement, options).await)
    }

    async fn delete(&mut self, this: Resource<Collection>, filter: Vec<u8>, options: DeleteOptions) -> Answer<WriteOutcome> {
        answer(self.table.get(&this)?.delete(filter, options).await)
    }

    async fn find_and_modify(
        &mut self,
        this: Resource<Collection>,
        filter: Vec<u8>,
        modification: Modification,
        options: FindAndModifyOptions,
    ) -> Answer<Option<Vec<u8>>> {
        answer(self.table.get(&this)?.find_and_modify(filter, modification, options).await)
    }

    async fn bulk_write(&mut self, this: Resource<Collection>, writes: Vec<Write>, options: BulkOptions) -> Answer<WriteOutcome> {
        answer(self.table.get(&this)?.bulk_write(writes, options).await)
    }

    async fn create_indexes(&mut self, this: Resource<Collection>, indexes: Vec<Index>) -> Answer<Vec<String>> {
        answer(self.table.get(&this)?.create_indexes(indexes).await)
    }

    async fn drop_index(&mut self, this: Resource<Collection>, name: String) -> Answer<()> {
        answer(self.table.get(&this)?.drop_index(name).await)
    }

    async fn list_indexes(&mut self, this: Resource<Collection>) -> Answer<Vec<u8>> {
        answer(self.table.get(&this)?.list_indexes().await)
    }

    async fn drop(&mut self, this: Resource<Collection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostTransaction for View<'_> {
    fn collection(&mut self, this: Resource<Transaction>, name: String) -> Answer<Resource<Collection>> {
        let opened = self.table.get(&this)?.collection(&name);
        keep(self, opened)
    }

    async fn commit(&mut self, this: Resource<Transaction>) -> Answer<()> {
        answer(self.table.get(&this)?.commit().await)
    }

    async fn abort(&mut self, this: Resource<Transaction>) -> Answer<()> {
        answer(self.table.get(&this)?.abort().await)
    }

    async fn drop(&mut self, this: Resource<Transaction>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostCursor for View<'_> {
    async fn next(&mut self, this: Resource<Cursor>, max_documents: u32) -> Answer<Option<Batch>> {
        answer(self.table.get(&this)?.next(max_documents).await)
    }

    async fn close(&mut self, this: Resource<Cursor>) -> Answer<()> {
        answer(self.table.get(&this)?.close().await)
    }

    async fn drop(&mut self, this: Resource<Cursor>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
