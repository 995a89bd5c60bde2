//! Which part of a record goes into which column, and as what type.

use super::deleted::DeletedWhen;
use super::path::SingularQuery;
use super::tree::Tree;
use crate::cursor::Watch;
use std::fmt;

/// The column types that are encoded here; any other goes through the type's input function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    Text,
    Json,
    Jsonb,
    Timestamptz,
    Timestamp,
    Date,
    Uuid,
    /// Of whatever elements; written as text.
    Array,
    Other,
}

/// How a field's bytes are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldFormat {
    /// By the type's receive function.
    Binary,
    /// By the type's input function, in UTF-8.
    Text,
}

impl ColumnType {
    /// By the fixed OIDs of `pg_type.dat`; varchar and bpchar are encoded as text.
    pub fn from_type_oid(oid: u32) -> ColumnType {
        match oid {
            16 => ColumnType::Bool,
            20 => ColumnType::Int8,
            21 => ColumnType::Int2,
            23 => ColumnType::Int4,
            25 | 1042 | 1043 => ColumnType::Text,
            114 => ColumnType::Json,
            700 => ColumnType::Float4,
            701 => ColumnType::Float8,
            1082 => ColumnType::Date,
            1114 => ColumnType::Timestamp,
            1184 => ColumnType::Timestamptz,
            1700 => ColumnType::Numeric,
            2950 => ColumnType::Uuid,
            3802 => ColumnType::Jsonb,
            _ => ColumnType::Other,
        }
    }

    pub fn format(self) -> FieldFormat {
        match self {
            ColumnType::Array | ColumnType::Other => FieldFormat::Text,
            _ => FieldFormat::Binary,
        }
    }

    /// The type's name for messages.
    pub fn name(self) -> &'static str {
        match self {
            ColumnType::Bool => "boolean",
            ColumnType::Int2 => "smallint",
            ColumnType::Int4 => "integer",
            ColumnType::Int8 => "bigint",
            ColumnType::Float4 => "real",
            ColumnType::Float8 => "double precision",
            ColumnType::Numeric => "numeric",
            ColumnType::Text => "text",
            ColumnType::Json => "json",
            ColumnType::Jsonb => "jsonb",
            ColumnType::Timestamptz => "timestamp with time zone",
            ColumnType::Timestamp => "timestamp without time zone",
            ColumnType::Date => "date",
            ColumnType::Uuid => "uuid",
            ColumnType::Array => "an array",
            ColumnType::Other => "another kind",
        }
    }
}

/// One column that a job writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    pub name: String,
    /// From the record, which is `$`.
    pub query: SingularQuery,
    pub ty: ColumnType,
    /// Raw JSON that stands in when the record has nothing at the path; a null in the record stays null.
    pub default: Option<String>,
}

/// What turns a body into rows.
#[derive(Debug, Clone)]
pub struct Mapping {
    pub records: SingularQuery,
    pub columns: Vec<Column>,
    /// Positions in `columns`; may be empty.
    pub key: Vec<usize>,
    pub aside: Aside,
    version: MappingVersion,
    tree: Tree,
}

/// What is looked at in a record and goes into no column.
#[derive(Debug, Clone, Default)]
pub struct Aside {
    /// How far the read reaches.
    pub watch: Option<Watch>,
    /// Whether the record says that the row is gone. Part of the version: such a record is no row.
    pub deleted_when: Option<DeletedWhen>,
}

/// A hash of everything that changes what a page becomes: two equal versions make equal rows of equal pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MappingVersion(pub [u8; 32]);

/// Raised whenever the bytes that this crate makes of the same records change.
const ENCODING: &str = "pg_sluice rows 2";

impl Mapping {
    /// `target_fingerprint` stands for the target's shape: types that are not known here, constraints on them.
    pub fn new(records: SingularQuery, columns: Vec<Column>, key: Vec<usize>, target_fingerprint: &str) -> Mapping {
        let tree = Tree::of(columns.iter().map(|column| &column.query));
        let version = version(&records, &columns, &key, target_fingerprint);
        Mapping {
            records,
            columns,
            key,
            aside: Aside::default(),
            version,
            tree,
        }
    }

    /// The same mapping with something looked at besides.
    pub fn with_aside(mut self, aside: Aside) -> Mapping {
        let root = SingularQuery::root();
        let watched = aside.watch.as_ref().map(|watch| &watch.query);
        let whole = aside.deleted_when.as_ref().map(|_| &root);
        let columns = self.columns.iter().map(|column| &column.query);
        self.tree = Tree::of(columns.chain(watched).chain(whole));
        if let Some(when) = &aside.deleted_when {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&self.version.0);
            hasher.update(when.text().as_bytes());
            self.version = MappingVersion(*hasher.finalize().as_bytes());
        }
        self.aside = aside;
        self
    }

    /// How many values of a record are looked up: the columns', the cursor's, the whole record's.
    pub(crate) fn slots(&self) -> usize {
        self.columns.len() + usize::from(self.aside.watch.is_some()) + usize::from(self.aside.deleted_when.is_some())
    }

    /// Whether a column takes the whole record, so that nothing of it is left over.
    pub(crate) fn has_whole_column(&self) -> bool {
        self.columns.iter().any(|column| column.query.steps.is_empty())
    }

    pub fn version(&self) -> &MappingVersion {
        &self.version
    }

    /// Whether every field can go straight into COPY BINARY.
    pub fn all_binary(&self) -> bool {
        self.columns
            .iter()
            .all(|column| column.ty.format() == FieldFormat::Binary)
    }

    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }
}

fn version(records: &SingularQuery, columns: &[Column], key: &[usize], target_fingerprint: &str) -> MappingVersion {
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: &str| {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    };
    [ENCODING, target_fingerprint, &records.to_string()]
        .into_iter()
        .for_each(&mut add);
    for column in columns {
        [&column.name, &column.query.to_string(), column.ty.name()]
            .into_iter()
            .for_each(&mut add);
        add(if column.default.is_some() {
            "default"
        } else {
            "no default"
        });
        add(column.default.as_deref().unwrap_or_default());
    }
    key.iter().for_each(|position| add(&position.to_string()));
    MappingVersion(*hasher.finalize().as_bytes())
}

impl fmt::Display for MappingVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
