//! GRANT role TO role. Memberships are kept with the member; they form no cycles.

use super::Ddl;
use crate::catalog::acl::DATABASE_OWNER;
use crate::catalog::{Catalog, Membership, Role};
use crate::error::{Error, Result, Severity, SqlState};
use crate::parse::privilege_ast::{GrantRole, RoleSpec};
use crate::types::Oid;

impl Ddl<'_> {
    pub(super) fn grant_role(&self, grant: &GrantRole) -> Result<()> {
        let members = grant.grantees.iter().map(|spec| self.spec_role(spec)).collect::<Result<Vec<Oid>>>()?;
        let grantor = grant.grantor.as_ref().map(|grantor| self.spec_role(grantor)).transpose()?;
        for name in &grant.roles {
            let catalog = self.catalog();
            let role = catalog.find_role(name).ok_or_else(|| super::role::no_role(name))?.oid;
            match grant.grant {
                true => self.add_members(role, &members, grantor, grant.admin)?,
                false => self.remove_members(role, &members, grant.admin)?,
            }
        }
        Ok(())
    }

    /// Whether the acting role may say who belongs to a role.
    fn require_admin(&self, catalog: &Catalog, role: &Role) -> Result<()> {
        let (acting, superuser) = self.core.acting_role();
        let message = match role.superuser {
            true if superuser => return Ok(()),
            true => "must be superuser to alter superusers".to_owned(),
            false if self.may_create_roles() || catalog.is_admin_of(acting, role.oid) => return Ok(()),
            false => format!("must have admin option on role \"{}\"", role.name),
        };
        Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
    }

    pub(super) fn add_members(
        &self,
        role: Oid,
        members: &[Oid],
        grantor: Option<Oid>,
        admin: bool,
    ) -> Result<()> {
        let (acting, superuser) = self.core.acting_role();
        let grantor = grantor.unwrap_or(acting);
        for &member in members {
            let catalog = self.catalog();
            let granted = catalog.role(role).ok_or_else(|| super::role::no_role(&role.to_string()))?;
            self.require_admin(&catalog, granted)?;
            if granted.oid == DATABASE_OWNER {
                let message = format!("role \"{}\" cannot have explicit members", granted.name);
                return Err(Error::internal(message));
            }
            if grantor != acting && !superuser {
                let message = "must be superuser to set grantor";
                return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message));
            }
            let mut changed = self.open_role_by_oid(member)?;
            if changed.oid == DATABASE_OWNER {
                let message = format!("role \"{}\" cannot be a member of any role", changed.name);
                return Err(Error::internal(message));
            }
            if catalog.memberships_of(role).contains(&member) {
                let message = format!("role \"{}\" is a member of role \"{}\"", granted.name, changed.name);
                return Err(Error::new(SqlState(*b"0LP01"), message));
            }
            match changed.member_of.iter_mut().find(|membership| membership.role == role) {
                Some(membership) if membership.admin || !admin => {
                    let message =
                        format!("role \"{}\" is already a member of role \"{}\"", changed.name, granted.name);
                    let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
                    self.core.notice(notice.severity(Severity::Notice));
                    continue;
                }
                Some(membership) => *membership = Membership { role, grantor, admin },
                None => changed.member_of.push(Membership { role, grantor, admin }),
            }
            self.put_role(changed)?;
        }
        Ok(())
    }

    /// `option`: only the right to pass the membership on.
    fn remove_members(&self, role: Oid, members: &[Oid], option: bool) -> Result<()> {
        for &member in members {
            let catalog = self.catalog();
            let granted = catalog.role(role).ok_or_else(|| super::role::no_role(&role.to_string()))?;
            self.require_admin(&catalog, granted)?;
            let mut changed = self.open_role_by_oid(member)?;
            match changed.member_of.iter().position(|membership| membership.role == role) {
                None => {
                    let message =
                        format!("role \"{}\" is not a member of role \"{}\"", changed.name, granted.name);
                    self.core.warning(SqlState::WARNING, &message);
                    continue;
                }
                Some(at) if option => changed.member_of[at].admin = false,
                Some(at) => {
                    changed.member_of.remove(at);
                }
            }
            self.put_role(changed)?;
        }
        Ok(())
    }

    /// The roles of CREATE ROLE … IN ROLE, ROLE and ADMIN, whose names come in one text.
    pub(super) fn listed_roles(&self, names: Option<&str>) -> Result<Vec<Oid>> {
        let names = names.unwrap_or_default().split('\0').filter(|name| !name.is_empty());
        names.map(|name| self.spec_role(&RoleSpec::Named(name.to_owned()))).collect()
    }
}
