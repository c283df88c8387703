//! The syntax tree of statements about privileges.

use super::ast::{Name, ObjectName, RoutineClass, RoutineSignature};
use crate::catalog::ObjectClass;
use crate::error::{Error, Result, SqlState};

/// A role in a statement about roles or privileges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleSpec {
    Named(Name),
    CurrentUser,
    CurrentRole,
    SessionUser,
    Public,
}

impl RoleSpec {
    /// The name, where only a name will do.
    pub fn plain(self, statement: &str) -> Result<Name> {
        match self {
            RoleSpec::Named(name) => Ok(name),
            _ => {
                let message = format!("cannot use special role specifier in {statement}");
                Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message))
            }
        }
    }
}

/// `SELECT (a, b)`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivilegeItem {
    /// In lower case; None: ALL PRIVILEGES.
    pub name: Option<String>,
    pub columns: Vec<Name>,
}

/// What privileges are granted on.
#[derive(Clone, Debug, PartialEq)]
pub enum GrantTarget {
    /// Tables, sequences and views share a name space: `class` is what the statement says.
    Objects(ObjectClass, Vec<ObjectName>),
    Routines(RoutineClass, Vec<RoutineSignature>),
    /// ALL … IN SCHEMA.
    AllInSchemas(ObjectClass, Option<RoutineClass>, Vec<Name>),
    /// Of ALTER DEFAULT PRIVILEGES.
    Defaults(ObjectClass),
}

/// GRANT and REVOKE of privileges on objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// False: REVOKE.
    pub grant: bool,
    pub privileges: Vec<PrivilegeItem>,
    pub target: GrantTarget,
    pub grantees: Vec<RoleSpec>,
    /// WITH GRANT OPTION, GRANT OPTION FOR.
    pub option: bool,
    pub grantor: Option<RoleSpec>,
    pub cascade: bool,
}

/// GRANT and REVOKE of membership in roles.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantRole {
    pub grant: bool,
    pub roles: Vec<Name>,
    pub grantees: Vec<RoleSpec>,
    /// WITH ADMIN OPTION, ADMIN OPTION FOR.
    pub admin: bool,
    pub grantor: Option<RoleSpec>,
    pub cascade: bool,
}

/// ALTER DEFAULT PRIVILEGES.
#[derive(Clone, Debug, PartialEq)]
pub struct DefaultPrivileges {
    /// Whose objects; none: the current role's.
    pub roles: Vec<RoleSpec>,
    /// None: in all schemas.
    pub schemas: Vec<Name>,
    pub grant: Grant,
}
