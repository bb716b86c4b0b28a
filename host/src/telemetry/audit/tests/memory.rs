//! A folder in memory that fails, stalls, is killed or loses its power when a test says so, and keeps after a failed sync what a disk keeps:
//! nothing that was not written again.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use super::super::disk::{Bytes, Folder};

#[derive(Clone, Default)]
pub(super) struct Memory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inside: Mutex<Inside>,
    moved: Condvar,
}

#[derive(Default)]
struct Inside {
    names: BTreeMap<String, usize>,
    files: Vec<Content>,
    calls: usize,
    plan: Plan,
    is_dead: bool,
}

/// What goes wrong.
#[derive(Clone, Copy, Default)]
pub(super) struct Plan {
    /// The call of this number fails, and nothing of it is done.
    pub(super) fails_at: Option<(usize, io::ErrorKind)>,
    /// The process is killed before the call of this number.
    pub(super) dies_at: Option<usize>,
    /// The process is killed after so many bytes more.
    pub(super) dies_after: Option<usize>,
    /// A write takes so many bytes at most.
    pub(super) short: Option<usize>,
    /// There is no room for anything more.
    pub(super) is_full: bool,
    /// Writes wait.
    pub(super) is_stalled: bool,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// What a loss of power leaves.
    durable: Vec<u8>,
    /// From where on to where bytes were written that no sync has seen.
    dirty: Option<(usize, usize)>,
}

impl Memory {
    pub(super) fn plan(&self, plan: Plan) {
        self.inside().plan = plan;
        self.0.moved.notify_all();
    }

    pub(super) fn calls(&self) -> usize {
        self.inside().calls
    }

    pub(super) fn is_dead(&self) -> bool {
        self.inside().is_dead
    }

    /// What the next process finds.
    pub(super) fn after_death(&self) -> Self {
        self.copy(|content| content.bytes.clone())
    }

    /// What is found after a loss of power.
    pub(super) fn after_power_loss(&self) -> Self {
        self.copy(|content| content.durable.clone())
    }

    fn copy(&self, left: impl Fn(&Content) -> Vec<u8>) -> Self {
        let inside = self.inside();
        let files = inside.files.iter().map(|content| Content { bytes: left(content), durable: left(content), dirty: None });
        let inside = Inside { names: inside.names.clone(), files: files.collect(), ..Inside::default() };
        Self(Arc::new(Shared { inside: Mutex::new(inside), moved: Condvar::new() }))
    }

    /// Names and texts, in the order in which the files follow each other.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let inside = self.inside();
        let text = |file: usize| String::from_utf8(inside.files[file].bytes.clone()).unwrap();
        // The file that is written sorts before those that were ended.
        let mut texts: Vec<_> = inside.names.iter().map(|(name, file)| (name.clone(), text(*file))).collect();
        texts.sort_by_key(|(name, _)| name == "log");
        texts
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap()
    }

    /// Counts a call, and fails if it is to fail.
    fn call(&self) -> io::Result<MutexGuard<'_, Inside>> {
        let mut inside = self.inside();
        let call = inside.calls;
        inside.calls += 1;
        inside.is_dead |= inside.plan.dies_at == Some(call);
        if inside.is_dead {
            return Err(io::Error::other("killed"));
        }
        let fails_at = inside.plan.fails_at;
        match fails_at {
            Some((at, kind)) if at == call => Err(kind.into()),
            _ => Ok(inside),
        }
    }
}

pub(super) struct Open {
    folder: Memory,
    file: usize,
}

impl Folder for Memory {
    type File = Open;

    fn open(&mut self, name: &str) -> io::Result<Option<Open>> {
        let file = self.call()?.names.get(name).copied();
        Ok(file.map(|file| Open { folder: self.clone(), file }))
    }

    fn create(&mut self, name: &str) -> io::Result<Open> {
        let mut inside = self.call()?;
        inside.files.push(Content::default());
        let file = inside.files.len() - 1;
        inside.names.insert(name.to_owned(), file);
        drop(inside);
        Ok(Open { folder: self.clone(), file })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inside = self.call()?;
        assert!(!inside.names.contains_key(to), "{to}");
        let file = inside.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inside.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.call()?.names.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.call()?.names.keys().cloned().collect())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.call().map(drop)
    }
}

impl Bytes for Open {
    fn size(&mut self) -> io::Result<u64> {
        Ok(self.folder.call()?.files[self.file].bytes.len() as u64)
    }

    fn read_at(&mut self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let inside = self.folder.call()?;
        let bytes = &inside.files[self.file].bytes[at as usize..];
        let count = bytes.len().min(buffer.len()).min(inside.plan.short.unwrap_or(usize::MAX));
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut inside = self.folder.call()?;
        while inside.plan.is_stalled {
            inside = self.folder.0.moved.wait(inside).unwrap();
        }
        let at = at as usize;
        let plan = inside.plan;
        let mut count = bytes.len().min(plan.short.unwrap_or(usize::MAX));
        // What is written over needs no room.
        if plan.is_full && at + count > inside.files[self.file].bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Some(left) = plan.dies_after {
            count = count.min(left);
            inside.plan.dies_after = Some(left - count);
            inside.is_dead = count < bytes.len();
        }
        let content = &mut inside.files[self.file];
        let end = at + count;
        assert!(at <= content.bytes.len(), "a hole");
        content.bytes.resize(content.bytes.len().max(end), 0);
        content.bytes[at..end].copy_from_slice(&bytes[..count]);
        let (from, to) = content.dirty.unwrap_or((at, end));
        content.dirty = Some((from.min(at), to.max(end)));
        if inside.is_dead { Err(io::Error::other("killed")) } else { Ok(count) }
    }

    fn cut(&mut self, size: u64) -> io::Result<()> {
        let mut inside = self.folder.call()?;
        let content = &mut inside.files[self.file];
        content.bytes.truncate(size as usize);
        content.durable.truncate(size as usize);
        let length = content.bytes.len();
        content.dirty = content.dirty.map(|(from, to)| (from.min(length), to.min(length)));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let folder = self.folder.clone();
        let called = folder.call().map(drop);
        let mut inside = folder.inside();
        let content = &mut inside.files[self.file];
        // Failed or not: the system tries once.
        let dirty = content.dirty.take();
        called?;
        if let Some((from, to)) = dirty {
            let length = content.durable.len().max(to);
            content.durable.resize(length, 0);
            content.durable[from..to].copy_from_slice(&content.bytes[from..to]);
        }
        Ok(())
    }
}
