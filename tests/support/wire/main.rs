//! The stand-in as a process of its own: `stand-in DATABASE.COLLECTION=FILE…`, where a file has the documents of a collection, one behind the
//! other, as `mongodump` writes them. It listens on a free port, says which, and goes on until it is killed.

use std::{error::Error, fs};

use bson::Document;
use wire::Wire;

fn main() -> Result<(), Box<dyn Error>> {
    let wire = Wire::start_forgetful();
    for argument in std::env::args().skip(1) {
        let (namespace, file) = argument.split_once('=').ok_or("collections are given as DATABASE.COLLECTION=FILE")?;
        wire.answer_collection(namespace, &documents(&fs::read(file)?)?);
    }
    println!("listening on mongodb://{}/", wire.address());
    loop {
        std::thread::park();
    }
}

fn documents(mut bytes: &[u8]) -> Result<Vec<Document>, Box<dyn Error>> {
    let mut documents = Vec::new();
    while !bytes.is_empty() {
        documents.push(Document::from_reader(&mut bytes)?);
    }
    Ok(documents)
}
