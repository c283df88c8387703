//! What a session does with large objects: descriptors that lo_open() gives out, and privileges. Every operation is a statement of its own
//! within the one that calls it, so that it sees what those before it have written.

use super::core::{Core, StatementContext};
use crate::catalog::acl::denied;
use crate::catalog::{ObjectClass, Privileges};
use crate::error::{Error, Result, SqlState};
use crate::large_object::{LargeObjects, Metadata, SIZE_MAX, missing};
use crate::types::Oid;
use serin_txn::Transaction;

const READ: i32 = 0x4_0000;
const WRITE: i32 = 0x2_0000;

/// What lo_open() has opened, until the transaction ends.
#[derive(Clone, Copy)]
struct Descriptor {
    object: Oid,
    writable: bool,
    position: u64,
    /// Which lo_open() of the transaction it came of.
    serial: u64,
}

/// Of a transaction, by number.
#[derive(Default)]
pub(crate) struct Descriptors {
    open: Vec<Option<Descriptor>>,
    opened: u64,
}

impl Descriptors {
    pub fn mark(&self) -> u64 {
        self.opened
    }
    /// Closes what was opened since.
    pub fn rollback_to(&mut self, mark: u64) {
        for slot in &mut self.open {
            *slot = slot.filter(|descriptor| descriptor.serial < mark);
        }
    }
    pub fn clear(&mut self) {
        *self = Descriptors::default();
    }
    fn get(&mut self, number: i32) -> Result<&mut Descriptor> {
        let slot = usize::try_from(number).ok().and_then(|number| self.open.get_mut(number)?.as_mut());
        slot.ok_or_else(|| {
            let message = format!("invalid large-object descriptor: {number}");
            Error::new(SqlState::UNDEFINED_OBJECT, message)
        })
    }
}

pub enum Whence {
    Start,
    Here,
    End,
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

impl Core {
    pub fn large_objects(&self) -> LargeObjects {
        LargeObjects { tree: self.engine.trees.large_objects.clone(), database: self.database_oid }
    }
    pub fn check_large_object(&self, object: Oid, metadata: &Metadata, wanted: Privileges) -> Result<()> {
        let held = self.catalog().held(
            self.role.get(),
            ObjectClass::LargeObject,
            metadata.acl.as_ref(),
            metadata.owner,
        );
        match held.0.contains(wanted) {
            true => Ok(()),
            false => Err(denied("large object", &object.to_string())),
        }
    }
}

impl StatementContext<'_> {
    fn nested<T>(&self, work: impl FnOnce(&LargeObjects, &mut Transaction) -> Result<T>) -> Result<T> {
        let mut transaction = self.transaction()?.borrow_mut();
        let outer = transaction.start_nested()?;
        let result = work(&self.core.large_objects(), &mut transaction);
        transaction.resume(outer);
        result
    }

    /// As [`StatementContext::nested`], with the object locked before its state is looked at.
    fn changing<T>(
        &self,
        object: Oid,
        work: impl FnOnce(&LargeObjects, &mut Transaction) -> Result<T>,
    ) -> Result<T> {
        self.core.large_objects().lock(&mut self.transaction()?.borrow_mut(), object)?;
        self.nested(work)
    }

    /// OID 0: one that is free.
    pub fn lo_create(&self, object: Oid) -> Result<Oid> {
        self.core.check_writable("lo_create()")?;
        let object = if object == 0 { self.core.engine.new_oid()? } else { object };
        let metadata = Metadata { owner: self.core.role.get(), acl: None, comment: None };
        let created = self.nested(|objects, transaction| objects.create(transaction, object, &metadata))?;
        if created {
            return Ok(object);
        }
        let message = "duplicate key value violates unique constraint \"pg_largeobject_metadata_oid_index\"";
        Err(Error::new(SqlState::UNIQUE_VIOLATION, message)
            .detail(format!("Key (oid)=({object}) already exists.")))
    }

    fn lo_find(&self, object: Oid) -> Result<Metadata> {
        self.nested(|objects, transaction| objects.find(transaction, object))?.ok_or_else(|| missing(object))
    }

    pub fn lo_unlink(&self, object: Oid) -> Result<()> {
        self.core.check_writable("lo_unlink()")?;
        let metadata = self.lo_find(object)?;
        if !self.core.catalog().has_privileges_of(self.core.role.get(), metadata.owner) {
            let message = format!("must be owner of large object {object}");
            return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
        }
        for slot in &mut self.core.large_objects.borrow_mut().open {
            *slot = slot.filter(|descriptor| descriptor.object != object);
        }
        self.changing(object, |objects, transaction| {
            objects.find(transaction, object)?.ok_or_else(|| missing(object))?;
            objects.remove(transaction, object)
        })
    }

    fn lo_check(&self, object: Oid, writable: bool) -> Result<()> {
        let metadata = self.lo_find(object)?;
        self.core.check_large_object(object, &metadata, Privileges::SELECT)?;
        match writable {
            true => self.core.check_large_object(object, &metadata, Privileges::UPDATE),
            false => Ok(()),
        }
    }

    pub fn lo_open(&self, object: Oid, mode: i32) -> Result<i32> {
        let writable = mode & WRITE != 0;
        if !writable && mode & READ == 0 {
            return Err(invalid(format!("invalid flags for opening a large object: {mode}")));
        }
        self.lo_check(object, writable)?;
        let mut descriptors = self.core.large_objects.borrow_mut();
        let descriptor = Descriptor { object, writable, position: 0, serial: descriptors.opened };
        descriptors.opened += 1;
        let free = descriptors.open.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            descriptors.open.push(None);
            descriptors.open.len() - 1
        });
        descriptors.open[number] = Some(descriptor);
        i32::try_from(number).map_err(|_| Error::internal("too many large objects are open"))
    }

    pub fn lo_close(&self, number: i32) -> Result<()> {
        let mut descriptors = self.core.large_objects.borrow_mut();
        descriptors.get(number)?;
        descriptors.open[number as usize] = None;
        Ok(())
    }

    fn lo_descriptor(&self, number: i32) -> Result<Descriptor> {
        self.core.large_objects.borrow_mut().get(number).copied()
    }

    fn lo_writable(&self, number: i32) -> Result<Descriptor> {
        let descriptor = self.lo_descriptor(number)?;
        match descriptor.writable {
            true => Ok(descriptor),
            false => {
                let message = format!("large object descriptor {number} was not opened for writing");
                Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message))
            }
        }
    }

    fn lo_move(&self, number: i32, position: u64) -> Result<()> {
        self.core.large_objects.borrow_mut().get(number)?.position = position;
        Ok(())
    }

    pub fn lo_read(&self, number: i32, length: i32) -> Result<Vec<u8>> {
        let Descriptor { object, position, .. } = self.lo_descriptor(number)?;
        let length = u64::try_from(length).unwrap_or(0);
        let bytes =
            self.nested(|objects, transaction| objects.read(transaction, object, position, length))?;
        self.lo_move(number, position + bytes.len() as u64)?;
        Ok(bytes)
    }

    pub fn lo_write(&self, number: i32, data: &[u8]) -> Result<i32> {
        self.core.check_writable("lowrite()")?;
        let Descriptor { object, position, .. } = self.lo_writable(number)?;
        self.write_at(object, position, data)?;
        self.lo_move(number, position + data.len() as u64)?;
        Ok(data.len() as i32)
    }

    fn write_at(&self, object: Oid, position: u64, data: &[u8]) -> Result<()> {
        if position + data.len() as u64 > SIZE_MAX {
            return Err(invalid(format!("invalid large object write request size: {}", data.len())));
        }
        self.changing(object, |objects, transaction| objects.write(transaction, object, position, data))
    }

    pub fn lo_seek(&self, number: i32, offset: i64, whence: Whence) -> Result<i64> {
        let Descriptor { object, position, .. } = self.lo_descriptor(number)?;
        let from = match whence {
            Whence::Start => 0,
            Whence::Here => position,
            Whence::End => self.nested(|objects, transaction| objects.size(transaction, object))?,
        };
        let target = (from as i64).wrapping_add(offset);
        self.lo_move(number, place(target)?)?;
        Ok(target)
    }

    pub fn lo_tell(&self, number: i32) -> Result<i64> {
        Ok(self.lo_descriptor(number)?.position as i64)
    }

    pub fn lo_truncate(&self, number: i32, length: i64) -> Result<()> {
        self.core.check_writable("lo_truncate()")?;
        let Descriptor { object, .. } = self.lo_writable(number)?;
        let length = u64::try_from(length)
            .ok()
            .filter(|length| *length <= SIZE_MAX)
            .ok_or_else(|| invalid(format!("invalid large object truncation target: {length}")))?;
        self.changing(object, |objects, transaction| objects.truncate(transaction, object, length))
    }

    pub fn lo_get(&self, object: Oid, offset: i64, length: u64) -> Result<Vec<u8>> {
        self.lo_check(object, false)?;
        let offset = place(offset)?;
        self.nested(|objects, transaction| objects.read(transaction, object, offset, length))
    }

    pub fn lo_put(&self, object: Oid, offset: i64, data: &[u8]) -> Result<()> {
        self.core.check_writable("lo_put()")?;
        self.lo_check(object, true)?;
        self.write_at(object, place(offset)?, data)
    }

    pub fn lo_comment(&self, object: Oid) -> Result<Option<String>> {
        let found = self.nested(|objects, transaction| objects.find(transaction, object))?;
        Ok(found.and_then(|metadata| metadata.comment))
    }

    pub fn lo_all(&self) -> Result<Vec<(Oid, Metadata)>> {
        self.nested(|objects, transaction| objects.all(transaction))
    }

    pub fn lo_pages(&self) -> Result<Vec<(Oid, u32, Vec<u8>)>> {
        let work_mem_bytes = self.core.settings.borrow().typed().work_mem_bytes;
        self.nested(|objects, transaction| objects.all_pages(transaction, work_mem_bytes))
    }
}

fn place(target: i64) -> Result<u64> {
    let place = u64::try_from(target).ok().filter(|place| *place <= SIZE_MAX);
    place.ok_or_else(|| invalid(format!("invalid large object seek target: {target}")))
}
