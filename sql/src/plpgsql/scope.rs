//! Names in a function's body: which variable a name means where an expression stands, and its parameters.

use super::exec::Value;
use super::tree::{Function, Reference, Shape, VariableId};
use crate::error::{Error, Result, SqlState};
use crate::plan::{VariableConflict, Variables};
use crate::types::Type;
use std::cell::RefCell;
use std::sync::Arc;

/// The names of a block up to a point, and those of the blocks around it.
pub struct Scope {
    pub parent: Option<Arc<Scope>>,
    pub label: Option<String>,
    pub names: Vec<(String, VariableId)>,
}

impl Scope {
    fn own(&self, name: &str) -> Option<VariableId> {
        self.names.iter().rev().find(|(known, _)| known == name).map(|(_, id)| *id)
    }
    pub fn find(&self, name: &str) -> Option<VariableId> {
        self.own(name).or_else(|| self.parent.as_ref()?.find(name))
    }
    fn labelled(&self, label: &str) -> Option<&Scope> {
        match self.label.as_deref() == Some(label) {
            true => Some(self),
            false => self.parent.as_ref()?.labelled(label),
        }
    }
    /// The variable that the first parts name, and the rest: a field, or nothing.
    pub fn resolve<'p>(&self, parts: &'p [String]) -> Option<(VariableId, &'p [String])> {
        let (first, rest) = parts.split_first()?;
        if let Some(id) = self.find(first) {
            return (rest.len() <= 1).then_some((id, rest));
        }
        let (second, rest) = rest.split_first()?;
        let id = self.labelled(first)?.own(second)?;
        (rest.len() <= 1).then_some((id, rest))
    }
}

/// Resolves the names of one expression, and remembers what its parameters are.
pub struct Resolver<'a> {
    pub function: &'a Function,
    pub scope: &'a Scope,
    pub values: &'a [Value],
    pub references: RefCell<Vec<Reference>>,
}

impl<'a> Resolver<'a> {
    pub fn new(function: &'a Function, scope: &'a Scope, values: &'a [Value]) -> Resolver<'a> {
        Resolver { function, scope, values, references: RefCell::default() }
    }

    fn reference(&self, variable: VariableId, field: Option<usize>, data_type: Type) -> (usize, Type) {
        let shape = match &self.values[variable] {
            Value::Record { shape, .. } => shape.clone(),
            Value::Scalar(_) => None,
        };
        let mut references = self.references.borrow_mut();
        let same = |known: &Reference| known.variable == variable && known.field == field;
        let index = references.iter().position(same).unwrap_or_else(|| {
            references.push(Reference { variable, field, shape });
            references.len() - 1
        });
        (index, data_type)
    }

    fn shape(&self, variable: VariableId) -> Result<Shape> {
        let name = &self.function.variables[variable].name;
        match &self.values[variable] {
            Value::Record { shape: Some(shape), .. } => Ok(shape.clone()),
            _ => Err(not_assigned(name)),
        }
    }
}

pub fn not_assigned(name: &str) -> Error {
    let message = format!("record \"{name}\" is not assigned yet");
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .detail("The tuple structure of a not-yet-assigned record is indeterminate.")
}

pub fn no_field(record: &str, field: &str) -> Error {
    Error::new(SqlState::UNDEFINED_COLUMN, format!("record \"{record}\" has no field \"{field}\""))
}

impl Variables for Resolver<'_> {
    fn resolve(&self, parts: &[String]) -> Result<Option<(usize, Type)>> {
        let Some((id, rest)) = self.scope.resolve(parts) else { return Ok(None) };
        match (&self.values[id], rest) {
            (Value::Scalar(_), []) => {
                let data_type = self.function.variables[id].data_type();
                Ok(Some(self.reference(id, None, data_type)))
            }
            (Value::Scalar(_), _) => Ok(None),
            (Value::Record { .. }, []) => Ok(Some(self.reference(id, None, Type::RECORD))),
            (Value::Record { .. }, [field, ..]) => {
                let shape = self.shape(id)?;
                let name = &self.function.variables[id].name;
                let at = shape.iter().position(|(known, _)| known == field);
                let at = at.ok_or_else(|| no_field(name, field))?;
                Ok(Some(self.reference(id, Some(at), shape[at].1)))
            }
        }
    }
    fn numbered(&self, number: u32) -> Option<(usize, Type)> {
        let id = *self.function.inputs.get((number as usize).checked_sub(1)?)?;
        Some(self.reference(id, None, self.function.variables[id].data_type()))
    }
    fn expand(&self, parts: &[String]) -> Result<Option<Vec<(String, usize, Type)>>> {
        let Some((id, [])) = self.scope.resolve(parts) else { return Ok(None) };
        if matches!(self.values[id], Value::Scalar(_)) {
            return Ok(None);
        }
        let shape = self.shape(id)?;
        let field = |(at, (name, data_type)): (usize, &(String, Type))| {
            let (index, data_type) = self.reference(id, Some(at), *data_type);
            (name.clone(), index, data_type)
        };
        Ok(Some(shape.iter().enumerate().map(field).collect()))
    }
    fn conflict(&self) -> VariableConflict {
        self.function.conflict
    }
}
