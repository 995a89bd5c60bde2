//! Several singular queries, walked together in one pass over a document's text.
//!
//! Each query has a slot; a walk puts the raw text of what a query selects into its slot. Text that no query goes into
//! is checked for syntax and skipped. Where a member name occurs twice the last one counts, as in jsonb.

use super::kind::trim;
use super::noted::Notes;
use super::path::{SingularQuery, Step};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Where to go from one value of the document. Its depth is bounded by [`super::path::MAX_STEPS`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    slots: Vec<usize>,
    members: Vec<(String, Tree)>,
    elements: Vec<(i64, Tree)>,
}

impl Tree {
    /// The queries' slots are their positions.
    pub(crate) fn of<'q>(queries: impl IntoIterator<Item = &'q SingularQuery>) -> Tree {
        let mut tree = Tree::default();
        for (slot, query) in queries.into_iter().enumerate() {
            let end = query.steps.iter().fold(&mut tree, |node, step| node.child(step));
            end.slots.push(slot);
        }
        tree
    }

    fn child(&mut self, step: &Step) -> &mut Tree {
        match step {
            Step::Member(name) => entry(&mut self.members, name),
            Step::Element(index) => entry(&mut self.elements, index),
        }
    }

    fn is_leaf(&self) -> bool {
        self.members.is_empty() && self.elements.is_empty()
    }

    /// Whether a query selects the value at which the walk begins.
    pub(crate) fn wants_whole(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Walks a whole document, and fails where the text is not exactly one JSON value.
    pub(crate) fn walk<'a>(&self, text: &'a str, slots: &mut [Option<&'a str>]) -> serde_json::Result<()> {
        let text = trim(text);
        let mut parser = serde_json::Deserializer::from_str(text);
        match text.as_bytes().first() {
            Some(b'{') if !self.members.is_empty() => parser.deserialize_map(Members::new(self, slots))?,
            Some(b'[') if !self.elements.is_empty() => parser.deserialize_seq(Elements { tree: self, slots })?,
            _ => parser.deserialize_ignored_any(IgnoredAny).map(|_| ())?,
        }
        parser.end()?;
        self.put(text, slots);
        Ok(())
    }

    /// The same for a record, whose members that no query goes into are noted: what takes it whole is no column.
    pub(super) fn walk_noting<'a>(
        &self,
        record: &'a str,
        slots: &mut [Option<&'a str>],
        notes: &mut Notes,
    ) -> serde_json::Result<()> {
        let mut parser = serde_json::Deserializer::from_str(record);
        parser.deserialize_map(Members::noting(self, slots, notes))?;
        parser.end()?;
        self.put(record, slots);
        Ok(())
    }

    /// Takes the raw text of a value that a step led to, and goes on into it.
    #[inline]
    fn take<'a>(&self, raw: &'a str, slots: &mut [Option<&'a str>]) -> serde_json::Result<()> {
        if !self.is_leaf() {
            self.forget_below(slots);
            self.walk(raw, slots)?;
        }
        self.put(raw, slots);
        Ok(())
    }

    #[inline]
    fn put<'a>(&self, raw: &'a str, slots: &mut [Option<&'a str>]) {
        for &slot in &self.slots {
            slots[slot] = Some(raw);
        }
    }

    /// A member that came before under the same name no longer counts.
    fn forget_below(&self, slots: &mut [Option<&str>]) {
        let members = self.members.iter().map(|(_, child)| child);
        for child in members.chain(self.elements.iter().map(|(_, child)| child)) {
            child.slots.iter().for_each(|&slot| slots[slot] = None);
            child.forget_below(slots);
        }
    }
}

fn entry<'t, K: Clone + PartialEq>(children: &'t mut Vec<(K, Tree)>, key: &K) -> &'t mut Tree {
    let known = children.iter().position(|(name, _)| name == key);
    let at = known.unwrap_or_else(|| {
        children.push((key.clone(), Tree::default()));
        children.len() - 1
    });
    &mut children[at].1
}

/// Fills slots from the members of one object.
pub(crate) struct Members<'t, 's, 'a> {
    tree: &'t Tree,
    slots: &'s mut [Option<&'a str>],
    /// Where the members that no query goes into are noted.
    notes: Option<&'s mut Notes>,
}

impl<'t, 's, 'a> Members<'t, 's, 'a> {
    fn new(tree: &'t Tree, slots: &'s mut [Option<&'a str>]) -> Self {
        Members {
            tree,
            slots,
            notes: None,
        }
    }

    pub(crate) fn noting(tree: &'t Tree, slots: &'s mut [Option<&'a str>], notes: &'s mut Notes) -> Self {
        notes.begin_record();
        Members {
            tree,
            slots,
            notes: Some(notes),
        }
    }
}

impl<'a> Visitor<'a> for Members<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(found) = map.next_key_seed(MemberName {
            tree: self.tree,
            expected: &mut expected,
            notes: self.notes.as_deref_mut(),
        })? {
            match (found, &mut self.notes) {
                (Found::Unmapped(place), Some(notes)) => {
                    let raw: &'a RawValue = map.next_value()?;
                    notes.add(place, raw.get());
                }
                (Found::Unmapped(_) | Found::Nothing, _) => map.next_value::<IgnoredAny>().map(|_| ())?,
                (Found::Child(child), _) => {
                    let raw: &'a RawValue = map.next_value()?;
                    child.take(raw.get(), self.slots).map_err(A::Error::custom)?;
                }
            }
        }
        Ok(())
    }
}

/// Finds the child for a member's name without copying the name. Members mostly come in the order of the columns, so
/// the one after the last one found is tried first.
struct MemberName<'t, 'e> {
    tree: &'t Tree,
    expected: &'e mut usize,
    notes: Option<&'e mut Notes>,
}

/// What a member's name leads to.
enum Found<'t> {
    Child(&'t Tree),
    /// The place among the unmapped members.
    Unmapped(usize),
    Nothing,
}

impl<'t> MemberName<'t, '_> {
    #[inline]
    fn find(self, name: &str) -> Found<'t> {
        let unmapped = |notes: &mut Notes| notes.place(name).map_or(Found::Nothing, Found::Unmapped);
        match self.tree.child_after(name, self.expected) {
            Some(child) => Found::Child(child),
            None => self.notes.map_or(Found::Nothing, unmapped),
        }
    }
}

impl Tree {
    #[inline]
    fn child_after(&self, name: &str, expected: &mut usize) -> Option<&Tree> {
        let members = &self.members;
        let is_named = |at: &usize| members.get(*at).is_some_and(|(known, _)| known == name);
        let at = Some(*expected)
            .filter(is_named)
            .or_else(|| (0..members.len()).find(|at| is_named(at)))?;
        *expected = at + 1;
        Some(&members[at].1)
    }
}

impl<'t, 'a> DeserializeSeed<'a> for MemberName<'t, '_> {
    type Value = Found<'t>;

    #[inline]
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'_> for MemberName<'t, '_> {
    type Value = Found<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    #[inline]
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.find(name))
    }
}

/// Fills slots from the elements of one array; all are collected first, because an index may count from the end.
struct Elements<'t, 's, 'a> {
    tree: &'t Tree,
    slots: &'s mut [Option<&'a str>],
}

impl<'a> Visitor<'a> for Elements<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut elements: Vec<&'a str> = Vec::new();
        while let Some(raw) = seq.next_element::<&'a RawValue>()? {
            elements.push(raw.get());
        }
        for (index, child) in &self.tree.elements {
            if let Some(raw) = nth(&elements, *index) {
                child.take(raw, self.slots).map_err(A::Error::custom)?;
            }
        }
        Ok(())
    }
}

fn nth<'a>(elements: &[&'a str], index: i64) -> Option<&'a str> {
    let from_start = if index < 0 {
        index.checked_add_unsigned(elements.len() as u64)?
    } else {
        index
    };
    elements.get(usize::try_from(from_start).ok()?).copied()
}
