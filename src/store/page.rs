//! Long lists, a page at a time: newest first, each page told by the last item of the one before.

/// Where a page of a list begins: after the last item of the page before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub(super) created_at: i64,
    pub(super) id: String,
}

impl Cursor {
    /// Reads what `Display` wrote, e.g. from a query parameter.
    pub fn parse(text: &str) -> Option<Self> {
        let (created_at, id) = text.split_once('.')?;
        Some(Self { created_at: created_at.parse().ok()?, id: id.to_owned() })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.created_at, self.id)
    }
}

/// Which part of a list is wanted. Lists come newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Items after this one.
    pub after: Option<Cursor>,
    /// 1 to 1000.
    pub limit: u16,
}

impl Page {
    /// The first `limit` items.
    pub const fn first(limit: u16) -> Self {
        Self { after: None, limit }
    }

    /// The number of rows to ask for: one more tells whether there is a next page.
    pub(super) fn rows(&self) -> i64 {
        i64::from(self.limit.clamp(1, 1000)) + 1
    }
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing<T> {
    pub items: Vec<T>,
    /// Where the next part begins, if there is more.
    pub next: Option<Cursor>,
}

impl<T> Listing<T> {
    /// Cuts what [`Page::rows`] asked for back to the page; `place` tells where an item stands.
    pub(super) fn cut(mut items: Vec<T>, page: &Page, place: impl Fn(&T) -> Cursor) -> Self {
        let limit = usize::from(page.limit.clamp(1, 1000));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(place) } else { None };
        Self { items, next }
    }
}
