//! Texts and lists that many entries have, each one once.
//!
//! Here: their numbers. Not here: what they are.
//! Invariant: equal texts have one number, and equal lists too.

use super::stored::Text;
use crate::advisory::VersionList;
use std::collections::HashMap;
use std::sync::Arc;

/// Texts and lists of versions.
#[derive(Default)]
pub(super) struct Interned {
    text_numbers: HashMap<Arc<str>, Text>,
    texts: Vec<Arc<str>>,
    list_numbers: HashMap<Arc<[Text]>, u32>,
    lists: Vec<Arc<[Text]>>,
    /// Bytes that they take, without what an allocator adds.
    size: usize,
}

impl Interned {
    /// The number of a text.
    pub(super) fn text(&mut self, text: &str) -> Text {
        if let Some(number) = self.text_numbers.get(text) {
            return *number;
        }
        let number = next(self.texts.len());
        let text: Arc<str> = text.into();
        self.size += text.len() + 64;
        self.texts.push(Arc::clone(&text));
        self.text_numbers.insert(text, number);
        number
    }

    /// The number of a list.
    pub(super) fn list(&mut self, list: &VersionList) -> u32 {
        let list: Arc<[Text]> = list.iter().map(|text| self.text(text)).collect();
        if let Some(number) = self.list_numbers.get(&list) {
            return *number;
        }
        let number = next(self.lists.len());
        self.size += size_of_val(&*list) + 64;
        self.lists.push(Arc::clone(&list));
        self.list_numbers.insert(list, number);
        number
    }

    /// The text with a number that [`text`](Self::text) gave.
    pub(super) fn text_of(&self, number: Text) -> &str {
        let text = usize::try_from(number).ok();
        text.and_then(|number| self.texts.get(number))
            .map_or("", |text| text)
    }

    /// The list with a number that [`list`](Self::list) gave.
    pub(super) fn list_of(&self, number: u32) -> &[Text] {
        let list = usize::try_from(number).ok();
        list.and_then(|number| self.lists.get(number))
            .map_or(&[], |list| list)
    }

    /// Bytes that they take.
    pub(super) fn size(&self) -> usize {
        self.size
    }
}

/// The number after as many. There are never 2³² of them: their size is limited before.
fn next(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
