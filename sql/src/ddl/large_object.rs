//! GRANT, COMMENT and OWNER TO of large objects, which are data and have no descriptor.

use super::Ddl;
use super::privilege::Target;
use crate::error::{Error, Result, SqlState};
use crate::large_object::{LargeObjects, Metadata, missing};
use crate::types::Oid;
use serin_txn::Transaction;

impl Ddl<'_> {
    fn with_large_objects<T>(
        &self,
        work: impl FnOnce(&LargeObjects, &mut Transaction) -> Result<T>,
    ) -> Result<T> {
        let mut transaction = self.transaction.borrow_mut();
        let outer = transaction.start_nested()?;
        let result = work(&self.core.large_objects(), &mut transaction);
        transaction.resume(outer);
        result
    }

    /// One by its number, locked.
    pub(super) fn large_object(&self, number: &str) -> Result<(Oid, Metadata)> {
        let object: Oid = number.parse().map_err(|_| {
            let message = format!("invalid large object number: {number}");
            Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
        })?;
        self.locked_large_object(object)?.map(|metadata| (object, metadata)).ok_or_else(|| missing(object))
    }

    pub(super) fn locked_large_object(&self, object: Oid) -> Result<Option<Metadata>> {
        self.core.large_objects().lock(&mut self.transaction.borrow_mut(), object)?;
        self.with_large_objects(|objects, transaction| objects.find(transaction, object))
    }

    pub(super) fn large_object_target(&self, number: &str) -> Result<Target> {
        let (object, metadata) = self.large_object(number)?;
        Ok(Target::LargeObject(object, object.to_string(), metadata))
    }

    pub(super) fn put_large_object(&self, object: Oid, metadata: &Metadata) -> Result<()> {
        self.with_large_objects(|objects, transaction| objects.put_metadata(transaction, object, metadata))
    }

    pub(super) fn comment_on_large_object(&self, number: &str, comment: Option<String>) -> Result<()> {
        let (object, metadata) = self.large_object(number)?;
        self.require_owner(metadata.owner, "large object", number)?;
        self.put_large_object(object, &Metadata { comment, ..metadata })
    }

    pub(super) fn large_object_targets(&self) -> Result<Vec<Target>> {
        let all = self.with_large_objects(|objects, transaction| objects.all(transaction))?;
        let target =
            |(object, metadata): (Oid, Metadata)| Target::LargeObject(object, object.to_string(), metadata);
        Ok(all.into_iter().map(target).collect())
    }

    pub(super) fn remove_large_object(&self, object: Oid) -> Result<()> {
        self.with_large_objects(|objects, transaction| objects.remove(transaction, object))
    }

    /// Those of a database that is dropped: nobody is connected to it.
    pub(super) fn remove_large_objects_of(&self, database: Oid) -> Result<()> {
        let objects = LargeObjects { database, ..self.core.large_objects() };
        self.with_large_objects(|_, transaction| {
            for (object, _) in objects.all(transaction)? {
                objects.remove(transaction, object)?;
            }
            Ok(())
        })
    }
}
