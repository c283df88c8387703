//! CREATE, ALTER and DROP of types and domains.
//!
//! A type is locked like a relation, by its OID: whoever makes something of the type holds ACCESS SHARE, whoever changes or drops it
//! ACCESS EXCLUSIVE. What depends on a type is found by looking for it (columns, domains, composite types, functions).

use super::drop::must_cascade;
use super::expression::Named;
use super::privilege::Target;
use super::{Ddl, names};
use crate::bind::Names;
use crate::catalog::acl::denied;
use crate::catalog::store::NameSpace;
use crate::catalog::user_type::{Attribute, Domain, DomainCheck, LABEL_GAP, Label, RangeType};
use crate::catalog::{Change, Kind, Object, Table, TypeKind, UserType};
use crate::catalog::{ObjectClass, Privileges, ROLE_POSTGRES};
use crate::error::{Error, Result, SqlState};
use crate::parse::ast::{
    AlterType, CreateDomain, DomainConstraint, DomainConstraintKind, Expr, ObjectName, TypeDefinition,
    TypeName,
};
use crate::table::{Shape, loader};
use crate::types::{Datum, Oid, Type};
use serin_txn::RelationLockMode;
use std::sync::Arc;

/// What depends on a type.
enum Dependent {
    Column(Arc<Table>, String),
    Type(Arc<UserType>),
    Routine(Arc<crate::catalog::Routine>),
}

impl Dependent {
    fn describe(&self) -> String {
        match self {
            Dependent::Column(table, column) => format!("column {column} of table {}", table.name),
            Dependent::Type(user_type) => format!("type {}", user_type.name),
            Dependent::Routine(routine) => format!("{} {}", routine.word(), routine.signature()),
        }
    }
}

impl Ddl<'_> {
    // ---- CREATE ----

    pub(super) fn create_type(&self, name: &ObjectName, definition: &TypeDefinition) -> Result<()> {
        let kind = match definition {
            TypeDefinition::Enum(labels) => TypeKind::Enum(self.new_labels(labels)?),
            TypeDefinition::Composite(items) => {
                let mut attributes: Vec<Attribute> = Vec::with_capacity(items.len());
                for item in items {
                    let attribute = self.attribute(item, attributes.len())?;
                    if attributes.iter().any(|other| other.name == attribute.name) {
                        let message = format!("column \"{}\" specified more than once", attribute.name);
                        return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
                    }
                    attributes.push(attribute);
                }
                TypeKind::Composite(attributes)
            }
            TypeDefinition::Range(options) => return self.create_range(name, options),
        };
        self.new_type(name, kind)
    }

    /// A range type and its multirange type.
    fn create_range(&self, name: &ObjectName, options: &[(String, TypeName)]) -> Result<()> {
        let (mut subtype, mut multirange_name) = (None, None);
        for (index, (option, value)) in options.iter().enumerate() {
            if options[..index].iter().any(|(other, _)| other == option) {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options"));
            }
            match option.as_str() {
                "subtype" => {
                    subtype = Some(self.with_plan_context(|c| crate::bind::resolve_type(value, c))?.0)
                }
                "multirange_type_name" => multirange_name = Some(value.name.clone()),
                // How far apart two values are matters to GiST's choices only; every order here is the type's own.
                "subtype_diff" | "subtype_opclass" | "collation" => {}
                "canonical" => return Err(Error::unsupported("canonical functions of range types")),
                _ => {
                    let message = format!("type attribute \"{option}\" not recognized");
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
            }
        }
        let subtype = subtype
            .ok_or_else(|| Error::new(SqlState::SYNTAX_ERROR, "type attribute \"subtype\" is required"))?;
        if subtype.is_pseudo() {
            let message = format!("range subtype cannot be {}", subtype.display());
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        self.use_type(subtype)?;
        let multirange_name = multirange_name.unwrap_or_else(|| {
            let mut name = name.clone();
            if let Some(last) = name.parts.last_mut() {
                *last = match last.contains("range") {
                    true => last.replacen("range", "multirange", 1),
                    false => format!("{last}_multirange"),
                };
            }
            name
        });
        let (range, multirange) = (self.new_oid()?, self.new_oid()?);
        let kind = TypeKind::Range(RangeType { subtype: subtype.0, multirange });
        self.new_type_of(name, kind, range)?;
        self.new_type_of(&multirange_name, TypeKind::Multirange(range), multirange)
    }

    fn new_labels(&self, names: &[String]) -> Result<Vec<Label>> {
        let mut labels: Vec<Label> = Vec::with_capacity(names.len());
        for name in names {
            check_label(name)?;
            if labels.iter().any(|label| label.name == *name) {
                let message = format!("enum label \"{name}\" used more than once");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
            }
            let position = (labels.len() as i64 + 1) * LABEL_GAP;
            labels.push(Label { oid: self.new_oid()?, name: name.clone(), position });
        }
        Ok(labels)
    }

    fn attribute(&self, item: &crate::parse::ast::ColumnDefinitionItem, index: usize) -> Result<Attribute> {
        let (data_type, modifier) = self.column_type(&item.name, &item.data_type)?;
        self.use_type(data_type)?;
        let number = i16::try_from(index + 1)
            .ok()
            .filter(|number| *number <= 1600)
            .ok_or_else(|| Error::new(SqlState::TOO_MANY_COLUMNS, "tables can have at most 1600 columns"))?;
        Ok(Attribute { name: item.name.clone(), number, data_type: data_type.0, modifier })
    }

    pub(super) fn create_domain(&self, create: &CreateDomain) -> Result<()> {
        let (base, modifier) =
            self.with_plan_context(|context| crate::bind::resolve_type(&create.data_type, context))?;
        if base.is_pseudo() {
            let message = format!("\"{}\" is not a valid base type for a domain", base.display());
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        self.use_type(base)?;
        let name = create.name.parts.last().cloned().unwrap_or_default();
        let mut domain =
            Domain { base: base.0, modifier, not_null: false, default: None, checks: Vec::new() };
        let mut nullable = None;
        for constraint in &create.constraints {
            match &constraint.kind {
                DomainConstraintKind::NotNull | DomainConstraintKind::Null => {
                    let not_null = matches!(constraint.kind, DomainConstraintKind::NotNull);
                    if nullable.is_some_and(|before| before != not_null) {
                        let message = "conflicting NULL/NOT NULL constraints";
                        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                    }
                    nullable = Some(not_null);
                    domain.not_null = not_null;
                }
                DomainConstraintKind::Default(expr, text) => {
                    if domain.default.is_some() {
                        return Err(Error::new(SqlState::SYNTAX_ERROR, "multiple default expressions"));
                    }
                    domain.default = Some(self.checked_default(expr, text, base, modifier)?);
                }
                DomainConstraintKind::Check(expr, text) => {
                    let check = self.new_check(&name, &domain, constraint, expr, text)?;
                    domain.checks.push(check);
                }
            }
        }
        self.new_type(&create.name, TypeKind::Domain(domain))
    }

    fn checked_default(&self, expr: &Expr, text: &str, base: Type, modifier: i32) -> Result<String> {
        let target = (base, modifier);
        self.with_plan_context(|context| crate::bind::standalone_expression(expr, target, context))?;
        self.spelled_out(text, Names::None, Some(target))
    }

    fn new_check(
        &self,
        domain_name: &str,
        domain: &Domain,
        constraint: &DomainConstraint,
        expr: &Expr,
        text: &str,
    ) -> Result<DomainCheck> {
        self.with_plan_context(|context| crate::bind::domain_check(expr, Type(domain.base), context))?;
        let taken = |name: &str| domain.checks.iter().any(|check| check.name == name);
        let name = match &constraint.name {
            Some(name) if taken(name) => {
                let message = format!("constraint \"{name}\" for domain \"{domain_name}\" already exists");
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            Some(name) => name.clone(),
            None => {
                let first = names::make_name(domain_name, None, "check");
                let mut candidates =
                    std::iter::once(first.clone()).chain((1..).map(|number| format!("{first}{number}")));
                candidates.find(|name| !taken(name)).unwrap_or(first)
            }
        };
        Ok(DomainCheck {
            oid: self.new_oid()?,
            name,
            text: self.spelled_out(text, Names::Value(Type(domain.base)), Some((Type::BOOL, -1)))?,
            validated: !constraint.not_valid,
        })
    }

    fn new_type(&self, name: &ObjectName, kind: TypeKind) -> Result<()> {
        self.new_type_of(name, kind, self.new_oid()?)
    }

    fn new_type_of(&self, name: &ObjectName, kind: TypeKind, oid: Oid) -> Result<()> {
        let catalog = self.catalog();
        let (schema, type_name) = names::split(&catalog, name)?;
        let schema = match schema {
            Some("pg_temp") => self.temporary_schema()?.oid,
            schema => names::creation_schema(&catalog, &self.search_path(), schema)?.oid,
        };
        let catalog = self.catalog();
        super::owner::check_create(&catalog, schema, self.core.role.get())?;
        let user_type = UserType {
            oid,
            array: self.new_oid()?,
            database: self.core.database_oid,
            schema,
            name: type_name.to_owned(),
            owner: self.core.acting_role().0,
            relation: if matches!(kind, TypeKind::Composite(_)) { self.new_oid()? } else { 0 },
            kind,
            comment: None,
            acl: self.new_acl(ObjectClass::Type, schema)?,
        };
        self.take_type_name(schema, type_name, user_type.oid)?;
        // Conflicts with a drop of the schema that it goes into.
        self.lock(schema, RelationLockMode::AccessShare)?;
        self.put_type(user_type)
    }

    fn take_type_name(&self, schema: Oid, name: &str, oid: Oid) -> Result<()> {
        let exists = || Error::new(SqlState::DUPLICATE_OBJECT, format!("type \"{name}\" already exists"));
        let catalog = self.catalog();
        if let Some(crate::catalog::Relation::Table(_)) = catalog.find_in_schema(schema, name) {
            return Err(exists());
        }
        let trees = &self.core.engine.trees;
        match trees.take_name(&mut self.transaction.borrow_mut(), (NameSpace::Type, schema), name, oid)? {
            true => Ok(()),
            false => Err(exists()),
        }
    }

    fn give_type_name(&self, schema: Oid, name: &str) -> Result<()> {
        let trees = &self.core.engine.trees;
        trees.give_name(&mut self.transaction.borrow_mut(), (NameSpace::Type, schema), name)
    }

    pub(super) fn put_type(&self, user_type: UserType) -> Result<()> {
        self.write(Change::put(Object::Type(Arc::new(user_type))))
    }

    /// 42501 unless the acting role may use the type in definitions.
    pub(super) fn check_type(&self, data_type: Type) -> Result<()> {
        let element = if data_type.is_array() { data_type.element() } else { None };
        let named = element.unwrap_or(data_type);
        let (catalog, role) = (self.catalog(), self.core.role.get());
        let held = match catalog.user_type(named.0) {
            Some(found) => catalog.held(role, ObjectClass::Type, found.acl.as_ref(), found.owner),
            None => {
                let acl = catalog.built_in_acl(ObjectClass::Type, named.0);
                catalog.held(role, ObjectClass::Type, Some(acl), ROLE_POSTGRES)
            }
        };
        match held.0.contains(Privileges::USAGE) {
            true => Ok(()),
            false => Err(denied("type", &named.display())),
        }
    }

    /// Keeps a type from being dropped or changed until this transaction ends.
    pub(super) fn use_type(&self, data_type: Type) -> Result<()> {
        let element = if data_type.is_array() { data_type.element() } else { None };
        let named = element.unwrap_or(data_type);
        self.check_type(named)?;
        match self.catalog().user_type(named.0) {
            Some(found) => self.lock(found.oid, RelationLockMode::AccessShare),
            None => Ok(()),
        }
    }

    // ---- ALTER ----

    pub(super) fn find_type(&self, name: &ObjectName) -> Result<Option<Arc<UserType>>> {
        let catalog = self.catalog();
        let (schema, type_name) = names::split(&catalog, name)?;
        let found = catalog.find_type(schema, type_name, &self.search_path());
        Ok(found.and_then(|oid| catalog.user_type(oid)))
    }

    /// Finds a type, locks it so that nobody else uses or changes it, and looks again.
    pub(super) fn open_type(&self, name: &ObjectName, domain: bool) -> Result<UserType> {
        let missing = || {
            let message = format!("type \"{}\" does not exist", names::display(name));
            Error::new(SqlState::UNDEFINED_OBJECT, message)
        };
        let found = self.find_type(name)?.ok_or_else(missing)?;
        if domain && found.domain().is_none() {
            let message = format!("\"{}\" is not a domain", names::display(name));
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        self.require_owner(found.owner, "type", &found.name)?;
        self.lock(found.oid, RelationLockMode::AccessExclusive)?;
        let found = self.catalog().user_type(found.oid).ok_or_else(missing)?;
        Ok(UserType::clone(&found))
    }

    pub(super) fn alter_type(&self, domain: bool, name: &ObjectName, action: &AlterType) -> Result<()> {
        let mut changed = self.open_type(name, domain)?;
        let from = self.full_name(changed.schema, &changed.name);
        match action {
            AlterType::Owner(role) => {
                let to = self.spec_role(role)?;
                if to != changed.owner {
                    self.check_new_owner(&Target::Type(Arc::new(changed.clone())), to)?;
                    changed.acl = changed.acl.as_ref().map(|acl| acl.with_owner(changed.owner, to));
                    changed.owner = to;
                }
            }
            AlterType::Rename(to) => {
                self.take_type_name(changed.schema, to, changed.oid)?;
                self.give_type_name(changed.schema, &changed.name)?;
                changed.name.clone_from(to);
            }
            AlterType::SetSchema(schema) => {
                let catalog = self.catalog();
                let to = names::creation_schema(&catalog, &[], Some(schema))?.oid;
                if to != changed.schema {
                    self.take_type_name(to, &changed.name, changed.oid)?;
                    self.give_type_name(changed.schema, &changed.name)?;
                    changed.schema = to;
                }
            }
            AlterType::AddValue { value, if_not_exists, neighbour } => {
                if !self.add_label(&mut changed, value, *if_not_exists, neighbour.as_ref())? {
                    return Ok(());
                }
            }
            AlterType::RenameValue { from, to } => rename_label(&mut changed, from, to)?,
            AlterType::AddAttribute(_)
            | AlterType::DropAttribute { .. }
            | AlterType::AlterAttribute { .. }
            | AlterType::RenameAttribute { .. } => self.alter_attributes(&mut changed, action)?,
            action => {
                if changed.domain().is_none() {
                    let message = format!("\"{}\" is not a domain", names::display(name));
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
                if !self.alter_domain(&mut changed, action)? {
                    return Ok(());
                }
            }
        }
        let to = self.full_name(changed.schema, &changed.name);
        self.put_type(changed)?;
        if from == to {
            return Ok(());
        }
        self.follow_names(&|name, named| (named == Named::Type && *name == from).then(|| Ok(to.clone())))
    }

    /// False: it was there already, and that is fine.
    fn add_label(
        &self,
        user_type: &mut UserType,
        value: &str,
        if_not_exists: bool,
        neighbour: Option<&(bool, String)>,
    ) -> Result<bool> {
        check_label(value)?;
        let oid = self.new_oid()?;
        let labels = labels_of(user_type)?;
        if labels.iter().any(|label| label.name == value) {
            if !if_not_exists {
                let message = format!("enum label \"{value}\" already exists");
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
            }
            self.notice_existing(
                SqlState::DUPLICATE_OBJECT,
                &format!("enum label \"{value}\" already exists"),
            );
            return Ok(false);
        }
        // Where it goes: before the label at `at`.
        let at = match neighbour {
            None => labels.len(),
            Some((before, name)) => {
                let found = labels.iter().position(|label| label.name == *name).ok_or_else(|| {
                    let message = format!("\"{name}\" is not an existing enum label");
                    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                })?;
                if *before { found } else { found + 1 }
            }
        };
        let low = at.checked_sub(1).map(|before| labels[before].position);
        let high = labels.get(at).map(|after| after.position);
        let position = match (low, high) {
            (None, None) => Some(LABEL_GAP),
            (Some(low), None) => low.checked_add(LABEL_GAP),
            (None, Some(high)) => high.checked_sub(LABEL_GAP),
            (Some(low), Some(high)) => Some(low + (high - low) / 2).filter(|middle| *middle > low),
        };
        let position = position.ok_or_else(|| {
            Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "there is no room between these enum labels")
                .detail("32 labels can be put one after the other into the gap between two labels.")
        })?;
        labels.insert(at, Label { oid, name: value.to_owned(), position });
        Ok(true)
    }

    /// Of a composite type that no column has: its stored values would need a rewrite.
    fn alter_attributes(&self, user_type: &mut UserType, action: &AlterType) -> Result<()> {
        let name = user_type.name.clone();
        let renames = matches!(action, AlterType::RenameAttribute { .. });
        if !renames
            && let Some(Dependent::Column(table, column)) = self
                .dependents(user_type.oid, user_type.array)
                .into_iter()
                .find(|d| matches!(d, Dependent::Column(..)))
        {
            let message =
                format!("cannot alter type \"{name}\" because column \"{}.{column}\" uses it", table.name);
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let fresh = match action {
            AlterType::AddAttribute(item) => Some(self.attribute(item, user_type.attributes_len())?),
            AlterType::AlterAttribute { name, data_type } => {
                let item = crate::parse::ast::ColumnDefinitionItem {
                    name: name.clone(),
                    data_type: data_type.clone(),
                };
                Some(self.attribute(&item, 0)?)
            }
            _ => None,
        };
        if let Some(attribute) = &fresh {
            Type(attribute.data_type).check_not_within(Type(user_type.oid))?;
        }
        let TypeKind::Composite(attributes) = &mut user_type.kind else {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a composite type"),
            ));
        };
        let find = |attributes: &[Attribute], wanted: &str| {
            attributes.iter().position(|attribute| attribute.name == wanted).ok_or_else(|| {
                let message = format!("column \"{wanted}\" of relation \"{name}\" does not exist");
                Error::new(SqlState::UNDEFINED_COLUMN, message)
            })
        };
        let duplicate = |wanted: &str| {
            let message = format!("column \"{wanted}\" of relation \"{name}\" already exists");
            Error::new(SqlState::DUPLICATE_COLUMN, message)
        };
        match (action, fresh) {
            (AlterType::AddAttribute(item), Some(mut attribute)) => {
                if attributes.iter().any(|other| other.name == item.name) {
                    return Err(duplicate(&item.name));
                }
                attribute.number = attributes.iter().map(|a| a.number).max().unwrap_or(0) + 1;
                attributes.push(attribute);
            }
            (AlterType::AlterAttribute { name, .. }, Some(attribute)) => {
                let at = find(attributes, name)?;
                attributes[at].data_type = attribute.data_type;
                attributes[at].modifier = attribute.modifier;
            }
            (AlterType::DropAttribute { name: wanted, if_exists }, _) => match find(attributes, wanted) {
                Ok(at) => {
                    attributes.remove(at);
                }
                Err(_) if *if_exists => self
                    .notice(format!("column \"{wanted}\" of relation \"{name}\" does not exist, skipping")),
                Err(error) => return Err(error),
            },
            (AlterType::RenameAttribute { from, to }, _) => {
                let at = find(attributes, from)?;
                if attributes.iter().any(|other| other.name == *to) {
                    return Err(duplicate(to));
                }
                attributes[at].name.clone_from(to);
            }
            _ => return Err(Error::internal("not an attribute's action")),
        }
        Ok(())
    }

    /// False: there was nothing to do.
    fn alter_domain(&self, user_type: &mut UserType, action: &AlterType) -> Result<bool> {
        let (oid, name) = (user_type.oid, user_type.name.clone());
        let TypeKind::Domain(domain) = &mut user_type.kind else {
            return Err(Error::internal("a domain was asked for"));
        };
        let missing = |constraint: &str| {
            let message = format!("constraint \"{constraint}\" of domain \"{name}\" does not exist");
            Error::new(SqlState::UNDEFINED_OBJECT, message)
        };
        match action {
            AlterType::Default(None) => domain.default = None,
            AlterType::Default(Some((expr, text))) => {
                domain.default =
                    Some(self.checked_default(expr, text, Type(domain.base), domain.modifier)?);
            }
            AlterType::NotNull(not_null) => {
                if domain.not_null == *not_null {
                    return Ok(false);
                }
                domain.not_null = *not_null;
                if *not_null {
                    self.validate_columns(oid, &mut |value, table, column| match value.is_null() {
                        false => Ok(()),
                        true => {
                            let message =
                                format!("column \"{column}\" of table \"{table}\" contains null values");
                            Err(Error::new(SqlState::NOT_NULL_VIOLATION, message))
                        }
                    })?;
                }
            }
            AlterType::AddConstraint(constraint) => match &constraint.kind {
                DomainConstraintKind::Check(expr, text) => {
                    let check = self.new_check(&name, domain, constraint, expr, text)?;
                    if !constraint.not_valid {
                        self.validate_domain_check(oid, Type(domain.base), text)?;
                    }
                    domain.checks.push(check);
                }
                DomainConstraintKind::NotNull => {
                    return Err(Error::unsupported("ALTER DOMAIN ADD CONSTRAINT NOT NULL"));
                }
                _ => return Err(Error::new(SqlState::SYNTAX_ERROR, "unrecognized constraint subtype")),
            },
            AlterType::DropConstraint { name: wanted, if_exists } => {
                let before = domain.checks.len();
                domain.checks.retain(|check| check.name != *wanted);
                if domain.checks.len() == before {
                    if !if_exists {
                        return Err(missing(wanted));
                    }
                    self.notice(format!(
                        "constraint \"{wanted}\" of domain \"{name}\" does not exist, skipping"
                    ));
                    return Ok(false);
                }
            }
            AlterType::RenameConstraint { from, to } => {
                if domain.checks.iter().any(|check| check.name == *to) {
                    let message = format!("constraint \"{to}\" for domain {name} already exists");
                    return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
                }
                let check = domain.checks.iter_mut().find(|check| check.name == *from);
                check.ok_or_else(|| missing(from))?.name.clone_from(to);
            }
            AlterType::ValidateConstraint(wanted) => {
                let check = domain.checks.iter_mut().find(|check| check.name == *wanted);
                let check = check.ok_or_else(|| missing(wanted))?;
                check.validated = true;
                let text = check.text.clone();
                self.validate_domain_check(oid, Type(domain.base), &text)?;
            }
            _ => return Err(Error::internal("not a domain's action")),
        }
        Ok(true)
    }

    fn validate_domain_check(&self, domain: Oid, base: Type, text: &str) -> Result<()> {
        let parsed = crate::parse::parse_expression(text)?;
        let check = self.with_plan_context(|context| crate::bind::domain_check(&parsed, base, context))?;
        self.with_exec(|context| {
            self.validate_columns(domain, &mut |value, table, column| {
                let holds = crate::exec::eval::eval_row(&check, std::slice::from_ref(value), context)?;
                match holds.as_bool() == Some(false) {
                    false => Ok(()),
                    true => {
                        let message = format!(
                            "column \"{column}\" of table \"{table}\" contains values that violate the new constraint"
                        );
                        Err(Error::new(SqlState::CHECK_VIOLATION, message))
                    }
                }
            })
        })
    }

    /// Shows every stored value of a domain (and of domains over it) to `check`, with its table and column.
    fn validate_columns(
        &self,
        domain: Oid,
        check: &mut dyn FnMut(&Datum, &str, &str) -> Result<()>,
    ) -> Result<()> {
        let catalog = self.catalog();
        let over = |mut at: Oid| loop {
            if at == domain {
                return true;
            }
            match catalog.user_type(at).as_deref().and_then(UserType::domain) {
                Some(inner) => at = inner.base,
                None => return false,
            }
        };
        for table in catalog.tables().filter(|table| !table.is_view()) {
            let live = table.columns.iter().enumerate().filter(|(_, column)| !column.dropped);
            let columns: Vec<usize> =
                live.filter(|(_, column)| over(column.data_type)).map(|(position, _)| position).collect();
            if columns.is_empty() {
                continue;
            }
            self.lock(table.oid, RelationLockMode::Share)?;
            let Some(table) = self.catalog().table(table.oid) else { continue };
            self.with_exec(|context| {
                let shape = Shape::of_draft(&table, context)?;
                loader::scan_all(&shape.tree, context, |_, value| {
                    let row = shape.decode_row(value)?;
                    columns.iter().try_for_each(|&position| {
                        check(&row[position], &table.name, &table.columns[position].name)
                    })
                })
            })?;
        }
        Ok(())
    }

    // ---- DROP ----

    pub(super) fn drop_type(
        &self,
        name: &ObjectName,
        domain: bool,
        if_exists: bool,
        cascade: bool,
    ) -> Result<()> {
        let Some(found) = self.find_type(name)? else {
            if let Some(built_in) = name.parts.last().and_then(|name| Type::from_name(name))
                && name.parts.len() == 1
            {
                let message = format!(
                    "cannot drop type {} because it is required by the database system",
                    built_in.display()
                );
                return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message));
            }
            let message = format!("type \"{}\" does not exist", names::display(name));
            if if_exists {
                self.notice(format!("{message}, skipping"));
                return Ok(());
            }
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        };
        if domain && found.domain().is_none() {
            let message = format!("\"{}\" is not a domain", found.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
        self.require_owner(found.owner, "type", &found.name)?;
        self.lock(found.oid, RelationLockMode::AccessExclusive)?;
        if let TypeKind::Multirange(range) = found.kind {
            let range = self.catalog().user_type(range).map_or(String::new(), |range| range.name.clone());
            let message = format!("cannot drop type {} because type {range} requires it", found.name);
            return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .hint(format!("You can drop type {range} instead.")));
        }
        self.clear_type_users(found.oid, found.array, &format!("type {}", found.name), cascade)?;
        self.remove_type(&found)
    }

    pub(super) fn remove_type(&self, found: &UserType) -> Result<()> {
        if let TypeKind::Range(range) = &found.kind
            && let Some(multirange) = self.catalog().user_type(range.multirange)
        {
            self.remove_type(&multirange)?;
        }
        self.give_type_name(found.schema, &found.name)?;
        self.write(Change::remove(Kind::Type, found.oid))
    }

    /// What uses a type goes with CASCADE, or stands in the way of dropping `what`.
    pub(super) fn clear_type_users(&self, oid: Oid, array: Oid, what: &str, cascade: bool) -> Result<()> {
        let dependents = self.dependents(oid, array);
        if dependents.is_empty() {
            return Ok(());
        }
        if !cascade {
            return Err(must_cascade(what, self.type_users(oid, array).join("\n")));
        }
        self.goes_too(dependents.iter().map(Dependent::describe));
        for dependent in dependents {
            match dependent {
                Dependent::Column(table, column) => {
                    self.lock(table.oid, RelationLockMode::AccessExclusive)?;
                    let Some(table) = self.catalog().table(table.oid) else { continue };
                    let mut changed = Table::clone(&table);
                    self.alter_drop_column(&mut changed, &column, true, true)?;
                    self.put_table(changed)?;
                }
                Dependent::Type(user_type) => {
                    self.lock(user_type.oid, RelationLockMode::AccessExclusive)?;
                    let what = format!("type {}", user_type.name);
                    self.clear_type_users(user_type.oid, user_type.array, &what, true)?;
                    self.remove_type(&user_type)?;
                }
                Dependent::Routine(routine) => {
                    self.lock(routine.oid, RelationLockMode::AccessExclusive)?;
                    self.remove_routine(&routine)?;
                }
            }
        }
        Ok(())
    }

    /// What stands in the way of dropping a type, in lines of a message's detail.
    pub(super) fn type_users(&self, oid: Oid, array: Oid) -> Vec<String> {
        let line = |dependent: &Dependent| {
            format!("{} depends on type {}", dependent.describe(), Type(oid).display())
        };
        self.dependents(oid, array).iter().map(line).collect()
    }

    fn dependents(&self, oid: Oid, array: Oid) -> Vec<Dependent> {
        let catalog = self.catalog();
        let uses = |data_type: Oid| data_type == oid || data_type == array;
        let mut found = Vec::new();
        for table in catalog.tables() {
            let live = table.columns.iter().filter(|column| !column.dropped && uses(column.data_type));
            // A table's own row type may be that of one of its columns' arrays only through another type.
            found.extend(live.map(|column| Dependent::Column(table.clone(), column.name.clone())));
        }
        // A multirange type goes with its range type, and what uses the one uses the other.
        if let Some(TypeKind::Range(range)) = catalog.user_type(oid).as_deref().map(|found| &found.kind)
            && let Some(multirange) = catalog.user_type(range.multirange)
        {
            found.extend(self.dependents(multirange.oid, multirange.array));
        }
        let types = catalog.user_types().filter(|other| {
            let own = matches!(other.kind, TypeKind::Multirange(range) if range == oid);
            other.oid != oid && !own && other.uses().into_iter().any(uses)
        });
        found.extend(types.cloned().map(Dependent::Type));
        let routines = catalog.routines().filter(|routine| routine.names_type(&uses));
        found.extend(routines.cloned().map(Dependent::Routine));
        found
    }
}

impl UserType {
    fn attributes_len(&self) -> usize {
        match &self.kind {
            TypeKind::Composite(attributes) => attributes.len(),
            _ => 0,
        }
    }
}

fn labels_of(user_type: &mut UserType) -> Result<&mut Vec<Label>> {
    let name = user_type.name.clone();
    match &mut user_type.kind {
        TypeKind::Enum(labels) => Ok(labels),
        _ => Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("{name} is not an enum"))),
    }
}

fn check_label(label: &str) -> Result<()> {
    match label.len() > names::NAME_BYTES_MAX {
        false => Ok(()),
        true => Err(Error::new(SqlState::INVALID_NAME, format!("invalid enum label \"{label}\""))
            .detail(format!("Labels must be {} bytes or less.", names::NAME_BYTES_MAX))),
    }
}

fn rename_label(user_type: &mut UserType, from: &str, to: &str) -> Result<()> {
    check_label(to)?;
    let labels = labels_of(user_type)?;
    let at = labels.iter().position(|label| label.name == from).ok_or_else(|| {
        let message = format!("\"{from}\" is not an existing enum label");
        Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
    })?;
    if labels.iter().any(|label| label.name == to) {
        return Err(Error::new(SqlState::DUPLICATE_OBJECT, format!("enum label \"{to}\" already exists")));
    }
    labels[at].name = to.to_owned();
    Ok(())
}
