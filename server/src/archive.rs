//! Where the log is archived: a directory, or an object store named by a URL.
//!
//! Storage archives from a thread of its own and through a synchronous trait. Object stores are asynchronous, so this one has a small runtime,
//! and whoever calls waits for the answer on a channel: that works from any thread, a worker of the server's included.
//!
//! `file:///dir` is the object store on the local file system, which is how all of this is tested; `s3://bucket/prefix` and others need a
//! build with the feature `object-stores`, and are told of their keys by the variables that their own tools use (`AWS_ACCESS_KEY_ID`, …).

use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serin_storage::vfs::RealVfs;
use serin_storage::{ArchiveTarget, DirectoryArchive, Error, Result, differs};
use std::path::Path;
use std::sync::{Arc, mpsc};
use tokio::runtime::Runtime;
use url::Url;

/// The archive that a setting names.
pub fn open(place: &str) -> Result<Arc<dyn ArchiveTarget>, String> {
    if !place.contains("://") {
        return Ok(Arc::new(DirectoryArchive::new(Arc::new(RealVfs), Path::new(place))));
    }
    let invalid = |error: String| format!("invalid value for archive: \"{place}\" ({error})");
    let url = Url::parse(place).map_err(|error| invalid(error.to_string()))?;
    let variables = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let keys =
        variables.filter(|(name, _)| ["aws_", "google_", "azure_"].iter().any(|kind| name.starts_with(kind)));
    let (store, prefix) =
        object_store::parse_url_opts(&url, keys).map_err(|error| invalid(error.to_string()))?;
    let store: Arc<dyn ObjectStore> = match url.scheme() {
        "file" => Arc::new(LocalFileSystem::new().with_fsync(true)),
        _ => store.into(),
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).thread_name("serin-archive").enable_all().build();
    let runtime = runtime.map_err(|error| format!("could not start the archive's runtime: {error}"))?;
    Ok(Arc::new(ObjectArchive { store, prefix, runtime: Some(runtime) }))
}

struct ObjectArchive {
    store: Arc<dyn ObjectStore>,
    prefix: ObjectPath,
    /// Taken when it is dropped, which may be where blocking is not allowed.
    runtime: Option<Runtime>,
}

fn failed(error: object_store::Error) -> Error {
    Error::Archive(format!("the archive does not answer as it should: {error}"))
}

impl ObjectArchive {
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, object_store::Error>> + Send + 'static,
    ) -> Result<T, object_store::Error> {
        let (sender, receiver) = mpsc::channel();
        let runtime = self.runtime.as_ref().expect("there until it is dropped");
        runtime.spawn(async move {
            // Nobody waits any more where the server ends.
            let _ = sender.send(work.await);
        });
        receiver.recv().expect("the runtime lives as long as its archive")
    }

    fn at(&self, name: &str) -> ObjectPath {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }
}

impl ArchiveTarget for ObjectArchive {
    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let (store, at) = (self.store.clone(), self.at(name));
        let payload = PutPayload::from(bytes.clone());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.wait(async move { store.put_opts(&at, payload, options).await }) {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => match self.get(name)? == Some(bytes) {
                true => Ok(()),
                false => Err(differs(name)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let (store, at) = (self.store.clone(), self.at(name));
        match self.wait(async move { store.get(&at).await?.bytes().await }) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let (store, at) = (self.store.clone(), self.at(folder));
        let objects =
            self.wait(async move { store.list(Some(&at)).try_collect::<Vec<_>>().await }).map_err(failed)?;
        let names = objects.iter().filter_map(|object| object.location.filename().map(str::to_owned));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }
}

impl Drop for ObjectArchive {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
