//! What a target table looks like, read from PostgreSQL's relation and system caches.
//!
//! Nothing here runs SQL, so that a role's `search_path` has no say in what is seen.

use super::catalog::{is_holdable, not_ascii};
use pgrx::{PgRelation, pg_sys};
use sluice_core::data::ColumnType;
use sluice_core::error::{Result, TargetError};
use sluice_core::sql_text::{KeyColumn, quote};
use sluice_core::target::DELETED_AT;
use std::ffi::CStr;

/// A table as a job writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub oid: pg_sys::Oid,
    pub schema: String,
    pub name: String,
    pub owner: pg_sys::Oid,
    pub kind: RelationKind,
    /// In the table's order, without dropped columns.
    pub columns: Vec<TargetColumn>,
    /// The primary key's columns in the key's order; empty without one.
    pub primary_key: Vec<String>,
    unique_indexes: Vec<Vec<KeyColumn>>,
    has_rules: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    Table,
    Partitioned,
    /// Nothing that we write; the letter is `pg_class.relkind`.
    Other(char),
}

impl RelationKind {
    fn of(relkind: char) -> RelationKind {
        match relkind {
            'r' => RelationKind::Table,
            'p' => RelationKind::Partitioned,
            other => RelationKind::Other(other),
        }
    }
}

/// One column of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetColumn {
    pub name: String,
    pub type_oid: pg_sys::Oid,
    pub typmod: i32,
    pub collation: pg_sys::Oid,
    pub not_null: bool,
    pub generated: bool,
    pub identity_always: bool,
    /// Whether two values that are equal to PostgreSQL always have the same bytes.
    pub equal_is_identical: bool,
    /// Whether a key's bytes, as they are compared, are the same for all values that are equal to PostgreSQL.
    pub is_known_by_bytes: bool,
    pub is_array: bool,
    pub attnum: i16,
}

impl TargetColumn {
    /// How values are encoded for it.
    pub fn encoding(&self) -> ColumnType {
        match self.is_array {
            true => ColumnType::Array,
            false => ColumnType::from_type_oid(self.type_oid.to_u32()),
        }
    }
}

/// Looks at a relation; `None` when there is none with this OID. The lock is held for the look only.
pub fn read_target(oid: pg_sys::Oid) -> Result<Option<Target>> {
    read_under(oid, pg_sys::AccessShareLock, pg_sys::AccessShareLock)
}

/// Looks at a relation and keeps the lock that a writer needs until the transaction ends, so that its shape stays.
pub fn lock_target(oid: pg_sys::Oid) -> Result<Option<Target>> {
    read_under(oid, pg_sys::RowExclusiveLock, pg_sys::NoLock)
}

fn read_under(oid: pg_sys::Oid, lock: u32, released: u32) -> Result<Option<Target>> {
    // SAFETY: any OID may be asked for; a missing relation is answered by NULL.
    let relation = unsafe { pg_sys::try_relation_open(oid, lock as pg_sys::LOCKMODE) };
    if relation.is_null() {
        return Ok(None);
    }
    // SAFETY: the relation is open and stays so until it is closed below; the borrowed view does not close it.
    let target = read_open(&unsafe { PgRelation::from_pg(relation) });
    // SAFETY: opened above; `released` is the lock taken there or none.
    unsafe { pg_sys::relation_close(relation, released as pg_sys::LOCKMODE) };
    target.map(Some)
}

fn read_open(relation: &PgRelation) -> Result<Target> {
    // SAFETY: rd_rel of an open relation points to its pg_class row.
    let class = unsafe { &*relation.rd_rel };
    let kind = RelationKind::of(class.relkind as u8 as char);
    let (schema, name) = read_names(class)?;
    let columns = relation
        .tuple_desc()
        .iter()
        .filter(|a| !a.attisdropped)
        .map(|a| read_column(a, &name))
        .collect::<Result<Vec<_>>>()?;
    let indexes = match kind {
        RelationKind::Other(_) => Vec::new(),
        _ => read_unique_indexes(relation, &columns),
    };
    Ok(Target {
        oid: relation.oid(),
        schema,
        name,
        owner: class.relowner,
        kind,
        primary_key: indexes
            .iter()
            .find(|i| i.primary)
            .map(|i| i.key.iter().map(|k| k.name.clone()).collect())
            .unwrap_or_default(),
        unique_indexes: indexes.into_iter().filter(|i| i.immediate).map(|i| i.key).collect(),
        has_rules: has_rules(relation),
        columns,
    })
}

/// The schema's name and the relation's own.
fn read_names(class: &pg_sys::FormData_pg_class) -> Result<(String, String)> {
    // SAFETY: a look-up by OID that gives a freshly allocated C string, or NULL; a name ends in NUL.
    let (schema, name) = unsafe {
        let schema = pg_sys::get_namespace_name(class.relnamespace);
        let schema = (!schema.is_null()).then(|| CStr::from_ptr(schema));
        (schema, CStr::from_ptr(class.relname.data.as_ptr()))
    };
    let schema = schema.ok_or(TargetError::Missing {
        oid: class.oid.to_u32(),
    })?;
    Ok((
        read_name(schema, |name| format!("the name of schema \"{name}\""))?,
        read_name(name, |name| format!("the name of table \"{name}\""))?,
    ))
}

/// A name in the server's encoding. Where that is not UTF8, what is not ASCII is refused and shown with marks in its place.
fn read_name(name: &CStr, told: impl FnOnce(String) -> String) -> Result<String> {
    if let Some(text) = name.to_str().ok().filter(|text| is_holdable(text)) {
        return Ok(text.to_owned());
    }
    let marked = |byte: &u8| if byte.is_ascii() { char::from(*byte) } else { '?' };
    let shown = name.to_bytes().iter().map(marked).collect();
    Err(not_ascii(told(shown), "Rename it, or use a database in UTF8."))
}

/// Whether rewrite rules would do something else with what is written.
fn has_rules(relation: &PgRelation) -> bool {
    // SAFETY: rd_rules of an open relation is NULL or points to its rules. A disabled one counts: ON CONFLICT minds it.
    unsafe { relation.rd_rules.as_ref() }.is_some_and(|rules| rules.numLocks > 0)
}

fn is_array(attribute: &pg_sys::FormData_pg_attribute) -> bool {
    // SAFETY: a column's type exists as long as the relation is open.
    unsafe { pg_sys::get_element_type(pg_sys::getBaseType(attribute.atttypid)) != pg_sys::InvalidOid }
}

fn read_column(attribute: &pg_sys::FormData_pg_attribute, table: &str) -> Result<TargetColumn> {
    // SAFETY: a name ends in NUL.
    let name = unsafe { CStr::from_ptr(attribute.attname.data.as_ptr()) };
    let equal_is_identical = equal_is_identical(attribute);
    Ok(TargetColumn {
        name: read_name(name, |name| {
            format!("the name of column \"{name}\" of table \"{table}\"")
        })?,
        type_oid: attribute.atttypid,
        typmod: attribute.atttypmod,
        collation: attribute.attcollation,
        not_null: attribute.attnotnull,
        generated: attribute.attgenerated != 0,
        identity_always: attribute.attidentity as u8 == b'a',
        equal_is_identical,
        is_known_by_bytes: is_known_by_bytes(attribute, equal_is_identical),
        is_array: is_array(attribute),
        attnum: attribute.attnum,
    })
}

/// Whether equal text of this column is the same text.
fn is_deterministic(attribute: &pg_sys::FormData_pg_attribute) -> bool {
    let collation = attribute.attcollation;
    // SAFETY: a column's collation exists as long as the relation is open.
    collation == pg_sys::InvalidOid || unsafe { pg_sys::get_collation_isdeterministic(collation) }
}

/// What is encoded here has one form in a key, where its type has one for equal values. What goes through the type's
/// input function may be written in several, unless it is a name of an enum's.
fn is_known_by_bytes(attribute: &pg_sys::FormData_pg_attribute, equal_is_identical: bool) -> bool {
    // SAFETY: a column's type exists as long as the relation is open.
    let is_enum = unsafe { pg_sys::get_typtype(attribute.atttypid) as u8 == pg_sys::TYPTYPE_ENUM };
    match ColumnType::from_type_oid(attribute.atttypid.to_u32()) {
        ColumnType::Numeric => true,
        ColumnType::Char => is_deterministic(attribute),
        ColumnType::Array | ColumnType::Other => is_enum,
        _ => equal_is_identical,
    }
}

/// True for types whose equality operator compares what is stored.
fn equal_is_identical(attribute: &pg_sys::FormData_pg_attribute) -> bool {
    use pg_sys::BuiltinOid::{BOOLOID, BYTEAOID, DATEOID, INT2OID, INT4OID, INT8OID, NAMEOID, OIDOID, TEXTOID};
    use pg_sys::BuiltinOid::{TIMESTAMPOID, TIMESTAMPTZOID, UUIDOID, VARCHAROID};
    // SAFETY: a column's type exists as long as the relation is open.
    let (base, kind) = unsafe {
        let base = pg_sys::getBaseType(attribute.atttypid);
        (base, pg_sys::get_typtype(base) as u8)
    };
    let plain = [
        BOOLOID, BYTEAOID, DATEOID, INT2OID, INT4OID, INT8OID, NAMEOID, OIDOID, TEXTOID,
    ]
    .into_iter()
    .chain([TIMESTAMPOID, TIMESTAMPTZOID, UUIDOID, VARCHAROID])
    .any(|known| known.value() == base);
    is_deterministic(attribute) && (plain || kind == pg_sys::TYPTYPE_ENUM)
}

struct UniqueIndex {
    primary: bool,
    immediate: bool,
    key: Vec<KeyColumn>,
}

fn read_unique_indexes(relation: &PgRelation, columns: &[TargetColumn]) -> Vec<UniqueIndex> {
    relation
        .indices(pg_sys::AccessShareLock as pg_sys::LOCKMODE)
        .filter_map(|i| read_unique_index(&i, columns))
        .collect()
}

/// `None` for an index that cannot find every row by its columns: not unique, not valid, partial, or on expressions.
fn read_unique_index(index: &PgRelation, columns: &[TargetColumn]) -> Option<UniqueIndex> {
    // SAFETY: rd_index of an open index points to its pg_index row.
    let form = unsafe { &*index.rd_index };
    // SAFETY: the index is open.
    let partial = unsafe { !pg_sys::RelationGetIndexPredicate(index.as_ptr()).is_null() };
    if !form.indisunique || !form.indisvalid || partial {
        return None;
    }
    let count = usize::try_from(form.indnkeyatts).ok()?;
    // SAFETY: indkey holds at least indnkeyatts numbers.
    let numbers = unsafe { form.indkey.values.as_slice(count) };
    let column = |(place, number): (usize, &i16)| {
        let column = columns.iter().find(|c| c.attnum == *number)?;
        Some(KeyColumn {
            name: column.name.clone(),
            operator: equality_operator(index, place)?,
        })
    };
    let key = numbers.iter().enumerate().map(column).collect::<Option<Vec<_>>>()?;
    Some(UniqueIndex {
        primary: form.indisprimary,
        immediate: form.indimmediate,
        key,
    })
}

/// Schema and name of the operator by which an index column finds equal values.
fn equality_operator(index: &PgRelation, place: usize) -> Option<(String, String)> {
    // SAFETY: rd_opfamily and rd_opcintype have one entry for each key column, and `place` is one of them. The names
    // are freshly allocated strings, or NULL.
    unsafe {
        let (family, input) = (*index.rd_opfamily.add(place), *index.rd_opcintype.add(place));
        let operator = pg_sys::get_opfamily_member(family, input, input, pg_sys::BTEqualStrategyNumber as i16);
        if operator == pg_sys::InvalidOid {
            return None;
        }
        let schema = pg_sys::get_namespace_name(operator_schema(operator)?);
        let name = pg_sys::get_opname(operator);
        if schema.is_null() || name.is_null() {
            return None;
        }
        let text = |p: *const _| CStr::from_ptr(p).to_str().ok().map(str::to_string);
        Some((text(schema)?, text(name)?))
    }
}

fn operator_schema(operator: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: the row is read before the cache's tuple is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::OPEROID as i32, operator.into());
        if tuple.is_null() {
            return None;
        }
        let schema = (*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_operator>()).oprnamespace;
        pg_sys::ReleaseSysCache(tuple);
        Some(schema)
    }
}

/// Schemas whose tables hold what PostgreSQL and pg_sluice themselves go by.
fn is_of_the_system(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema" | "pg_toast" | "sluice")
}

impl Target {
    pub fn column(&self, name: &str) -> Option<&TargetColumn> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// As [`column`](Self::column), or the error that names what is missing.
    pub fn expect_column(&self, name: &str) -> Result<&TargetColumn> {
        let missing = || TargetError::UnknownColumn {
            table: self.full_name(),
            column: name.into(),
        };
        Ok(self.column(name).ok_or_else(missing)?)
    }

    /// Refuses what rows cannot be written to as they are.
    pub fn expect_table(&self) -> Result<()> {
        let table = || self.full_name();
        if is_of_the_system(&self.schema) {
            return Err(TargetError::OfTheSystem { table: table() }.into());
        }
        match self.kind {
            RelationKind::Other(kind) => Err(TargetError::NotATable { table: table(), kind }.into()),
            _ if self.has_rules => Err(TargetError::HasRules { table: table() }.into()),
            RelationKind::Table | RelationKind::Partitioned => Ok(()),
        }
    }

    /// The column that says since when a row is gone, or the error that names the statement that adds it.
    pub fn expect_mark(&self) -> Result<()> {
        let is_time = |column: &TargetColumn| column.type_oid == pg_sys::TIMESTAMPTZOID && !column.generated;
        match self.column(DELETED_AT).is_some_and(is_time) {
            true => Ok(()),
            false => Err(TargetError::NoMarkColumn {
                table: self.full_name(),
            }
            .into()),
        }
    }

    /// For people: schema and name with a dot, each quoted where PostgreSQL would ask for it.
    pub fn full_name(&self) -> String {
        let shown = |name: &str| pgrx::spi::quote_identifier(name);
        format!("{}.{}", shown(&self.schema), shown(&self.name))
    }

    /// For statements.
    pub fn sql_name(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// Everything about the table that changes what a page becomes: a skip of an equal page is void when it differs.
    pub fn fingerprint(&self) -> String {
        let mut text = match self.kind {
            RelationKind::Table => "r".to_string(),
            RelationKind::Partitioned => "p".to_string(),
            RelationKind::Other(c) => c.to_string(),
        };
        for c in &self.columns {
            let kind = u8::from(c.generated) + 2 * u8::from(c.identity_always);
            text += &format!(";{}:{}:{}:{}:{}", c.attnum, c.name, c.type_oid.to_u32(), c.typmod, kind);
        }
        text
    }

    /// Whether `ON CONFLICT (columns)` can work: a valid unique index on exactly these columns, in any order, neither
    /// partial nor deferrable nor on expressions.
    pub fn has_unique_index_on(&self, columns: &[String]) -> bool {
        self.key_columns(columns).is_some()
    }

    /// Refuses a keyset's column that is not unique by the key and has no unique index.
    pub fn expect_keyset(&self, beside_key: Option<&str>) -> Result<()> {
        match beside_key {
            Some(column) if !self.has_unique_index_on(&[column.to_owned()]) => Err(TargetError::NoKeyset {
                table: self.full_name(),
                column: column.to_owned(),
            }
            .into()),
            _ => Ok(()),
        }
    }

    /// The columns with their index's equality operators, in the order given.
    pub fn key_columns(&self, columns: &[String]) -> Option<Vec<KeyColumn>> {
        let fits = |key: &&Vec<KeyColumn>| key.len() == columns.len() && key.iter().all(|k| columns.contains(&k.name));
        let index = self.unique_indexes.iter().find(fits)?;
        columns
            .iter()
            .map(|c| index.iter().find(|k| k.name == *c).cloned())
            .collect()
    }
}

/// Refuses a target whose policies would filter what the current user writes: silence is worse than an error.
pub fn refuse_row_security(target: &Target) -> Result<()> {
    // SAFETY: a look-up by OID for the current user; it raises nothing when asked not to.
    let answer = unsafe { pg_sys::check_enable_rls(target.oid, pg_sys::InvalidOid, true) };
    match answer as u32 == pg_sys::CheckEnableRlsResult::RLS_ENABLED {
        true => Err(TargetError::RowSecurity {
            table: target.full_name(),
        }
        .into()),
        false => Ok(()),
    }
}

/// Whether the current user may insert into these columns, as COPY's own command would check.
pub fn require_insert(target: &Target, columns: &[String]) -> Result<()> {
    let insert = pg_sys::AclMode::from(pg_sys::ACL_INSERT);
    let granted = pg_sys::AclResult::ACLCHECK_OK;
    // SAFETY: privilege look-ups by OID and column number.
    let (user, on_table) = unsafe {
        let user = pg_sys::GetUserId();
        (user, pg_sys::pg_class_aclcheck(target.oid, user, insert) == granted)
    };
    // SAFETY: as above.
    let on_column =
        |c: &TargetColumn| unsafe { pg_sys::pg_attribute_aclcheck(target.oid, c.attnum, user, insert) == granted };
    if on_table || columns.iter().all(|c| target.column(c).is_some_and(on_column)) {
        return Ok(());
    }
    Err(TargetError::NoInsertPrivilege {
        table: target.full_name(),
    }
    .into())
}
