//! The files of a log as one chain of lines: adds to it, ends a file and begins the next, and mends what a failure left.
//!
//! Whatever fails, and between whichever two bytes the process is killed, what is on the disk is a log that can be gone on with: whole
//! lines, then perhaps a torn one, which `recovery` finds.

use std::{io, mem};

use super::{
    chain::{Chain, Head, Key},
    disk::{Bytes, Folder},
    record::{Previous, Record},
};

/// Bytes that may wait to be synced. They are kept in memory, because after a sync that failed they have to be written again.
pub(super) const MAX_UNSYNCED: usize = 4 << 20;
/// Digits of the number by which the name of a file is told from those of others. Names sort as the files follow each other.
const NUMBER_DIGITS: usize = 12;
/// Bytes that the chain adds to a record.
const SEAL: usize = 128;

/// How much a log may grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes from which on a file is followed by another.
    pub(super) max_file_size: u64,
    /// Files that were ended, of which the oldest is removed when there are more; 0 for no limit.
    pub(super) max_files: usize,
}

/// Where lines go.
pub(super) enum Stage<File> {
    /// Into this file.
    Open(File),
    /// Nowhere: the last line of the file says that it gets this name.
    Ended(String),
    /// Nowhere: the next file is to be begun, after this one.
    Away(Option<String>),
}

pub(super) struct Log<F: Folder> {
    folder: F,
    name: String,
    limits: Limits,
    key_id: String,
    /// After the last line of `unsynced`.
    chain: Chain,
    stage: Stage<F::File>,
    /// Lines that were written and may not be on the disk. Between calls never one that was not written.
    unsynced: Vec<u8>,
    /// Bytes of the file before those.
    synced: u64,
    /// After the last line that is on the disk.
    synced_head: Head,
    /// Something failed: after its lines the file may have others, and those that were not synced have to be written again.
    is_damaged: bool,
}

impl<F: Folder> Log<F> {
    /// A log that ends with the head of this chain; `size` is that of its file, which is on the disk.
    pub(super) fn new(
        folder: F,
        name: String,
        limits: Limits,
        key: &Key,
        chain: Chain,
        stage: Stage<F::File>,
        size: u64,
    ) -> Self {
        let (key_id, synced_head) = (key.id(), chain.head);
        Self { folder, name, limits, key_id, chain, stage, unsynced: Vec::new(), synced: size, synced_head, is_damaged: false }
    }

    /// After the last line that no loss of power can take any more.
    pub(super) fn synced_head(&self) -> Head {
        self.synced_head
    }

    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// Adds lines, all or none. With `sync` they are on the disk afterwards.
    ///
    /// # Errors
    /// Nothing was added, and the file is mended before it is used again.
    pub(super) fn append<'a>(&mut self, records: impl Iterator<Item = &'a [u8]> + Clone, sync: bool) -> io::Result<()> {
        let coming: usize = records.clone().map(|record| record.len() + SEAL).sum();
        self.ready(coming as u64)?;
        self.put(records, sync || self.unsynced.len() + coming > MAX_UNSYNCED)
    }

    /// Makes sure that all lines are on the disk.
    ///
    /// # Errors
    /// Nobody knows which lines are; they are written again before the next one.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.is_damaged {
            return self.mend();
        }
        if let Stage::Open(file) = &mut self.stage
            && !self.unsynced.is_empty()
        {
            if let Err(error) = file.sync() {
                self.is_damaged = true;
                return Err(error);
            }
            self.are_synced();
        }
        Ok(())
    }

    /// Leaves a file that is whole, and has room for so many bytes.
    fn ready(&mut self, coming: u64) -> io::Result<()> {
        if self.is_damaged {
            self.mend()?;
        }
        let size = self.synced + self.unsynced.len() as u64;
        if matches!(self.stage, Stage::Open(_)) && size + coming > self.limits.max_file_size {
            let to = format!("{}.{:0NUMBER_DIGITS$}", self.name, self.chain.head.seq + 1);
            let rotate = Record::Rotate { to: &to }.render();
            self.put([rotate.as_slice()].into_iter(), true)?;
            self.stage = Stage::Ended(to);
        }
        if let Stage::Ended(to) = &mut self.stage {
            self.folder.rename(&self.name, to)?;
            self.stage = Stage::Away(Some(mem::take(to)));
        }
        if let Stage::Away(previous) = &self.stage {
            let previous = previous.clone();
            self.begin(previous)?;
        }
        Ok(())
    }

    /// Begins the next file. What an attempt that failed left of it is overwritten: it has no line that anybody relies on.
    fn begin(&mut self, previous: Option<String>) -> io::Result<()> {
        let mut chain = self.chain.clone();
        let previous = previous.map(|file| Previous { file, mac: chain.head.mac.to_string() });
        let open = Record::Open { chain: &self.chain.id, key: &self.key_id, previous: previous.as_ref() }.render();
        let mut text = Vec::new();
        chain.append(&mut text, &open);
        let mut file = self.folder.create(&self.name)?;
        file.write_all_at(&text, 0)?;
        file.sync()?;
        self.folder.sync()?;
        self.chain = chain;
        self.stage = Stage::Open(file);
        self.synced = text.len() as u64;
        self.synced_head = self.chain.head;
        if let Some(Previous { file, .. }) = previous {
            tracing::info!(target: "wharf::audit", head = %self.synced_head, file, "the audit log goes on in a new file");
            self.forget_old_files();
        }
        Ok(())
    }

    /// Removes what there is too much of; what cannot be removed now is when the next file begins.
    fn forget_old_files(&mut self) {
        if self.limits.max_files == 0 {
            return;
        }
        let removed = ended_files(&mut self.folder, &self.name).and_then(|files| {
            let too_many = files.len().saturating_sub(self.limits.max_files);
            files[..too_many].iter().try_for_each(|file| self.folder.remove(file))
        });
        if let Err(error) = removed {
            tracing::warn!(target: "wharf::audit", %error, "old files of the audit log cannot be removed");
        }
    }

    fn put<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>, sync: bool) -> io::Result<()> {
        let Stage::Open(file) = &mut self.stage else { return Err(io::Error::other("no file is open")) };
        let (start, head) = (self.unsynced.len(), self.chain.head);
        for record in records {
            self.chain.append(&mut self.unsynced, record);
        }
        let mut written = file.write_all_at(&self.unsynced[start..], self.synced + start as u64);
        if sync {
            written = written.and_then(|()| file.sync());
        }
        if let Err(error) = written {
            self.unsynced.truncate(start);
            self.chain.head = head;
            self.is_damaged = true;
            // At once: of these lines it is said that they were not written. What fails now is tried again before the next ones.
            drop(self.mend());
            return Err(error);
        }
        if sync {
            self.are_synced();
        }
        Ok(())
    }

    /// Cuts off what is left of lines that were not written, and writes those again of which nobody knows whether they are on the disk.
    fn mend(&mut self) -> io::Result<()> {
        if let Stage::Open(file) = &mut self.stage {
            file.cut(self.synced + self.unsynced.len() as u64)?;
            file.write_all_at(&self.unsynced, self.synced)?;
            file.sync()?;
            self.are_synced();
        }
        self.is_damaged = false;
        Ok(())
    }

    fn are_synced(&mut self) {
        self.synced += self.unsynced.len() as u64;
        self.unsynced.clear();
        self.synced_head = self.chain.head;
    }
}

/// The names of files that were ended, the oldest first.
pub(super) fn ended_files<F: Folder>(folder: &mut F, name: &str) -> io::Result<Vec<String>> {
    let is_ended = |file: &String| {
        let number = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        number.is_some_and(|number| number.len() >= NUMBER_DIGITS && number.bytes().all(|digit| digit.is_ascii_digit()))
    };
    let mut files: Vec<String> = folder.names()?.into_iter().filter(is_ended).collect();
    files.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    Ok(files)
}
