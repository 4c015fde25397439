//! The parameters of a request: collected from the three sources and normalized (RFC 5849 §3.4.1.3).
//!
//! A list, never a map: duplicates stay until a rule refuses them. Names and values are kept in the one spelling of
//! §3.6, in which they are sorted and signed; [`Parameter::decoded`] gives their meaning.

use std::borrow::Cow;

use thiserror::Error;

use super::encoding::{self, InvalidEscape, Plus, canonical};
use super::header::{Credentials, HeaderError};
use super::request::{ReceivedRequest, Sent};

/// More than any API needs, and few enough to sort for a stranger.
pub const MAXIMUM: usize = 2048;

/// Why the parameters of a request could not be collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParametersError {
    /// The Authorization header does not parse (RFC 5849 §3.5.1).
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A `%` without two hexadecimal digits, in the source that is named.
    #[error("the {} holds an invalid percent escape: write each % that is text as %25", .0.as_str())]
    Escape(Source),
    /// More than [`MAXIMUM`] parameters.
    #[error("the request has more than {MAXIMUM} parameters")]
    TooMany,
}

/// Where a parameter came from (RFC 5849 §3.4.1.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The OAuth `Authorization` header.
    Header,
    /// The query component of the request URI.
    Query,
    /// A form body.
    Body,
}

impl Source {
    /// As a person would call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "Authorization header",
            Self::Query => "query",
            Self::Body => "form body",
        }
    }
}

/// One parameter, both halves in the spelling of RFC 5849 §3.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Encoded name.
    pub name: Cow<'a, str>,
    /// Encoded value; empty when there was none.
    pub value: Cow<'a, str>,
    /// Where it came from.
    pub source: Source,
}

impl Parameter<'_> {
    /// What the value means; `None` when that is no UTF-8.
    pub fn decoded(&self) -> Option<Cow<'_, str>> {
        encoding::decode_text(&self.value, Plus::IsPlus)
    }

    /// Whether the normalized list holds it: all but `oauth_signature`, and `realm` in the header (§3.4.1.3.1).
    fn is_signed(&self) -> bool {
        self.name != "oauth_signature" && !(self.source == Source::Header && self.name.eq_ignore_ascii_case("realm"))
    }
}

/// All parameters of one request, in the order header, query, body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters<'a>(Vec<Parameter<'a>>);

impl<'a> Parameters<'a> {
    /// Collects from the OAuth Authorization header, the query and the form body, each undecoded until here.
    ///
    /// # Errors
    /// [`ParametersError`], the first one met.
    pub fn collect(request: &ReceivedRequest<'a>) -> Result<Self, ParametersError> {
        let mut parameters = Self(Vec::with_capacity(16));
        match request.headers.authorization {
            Sent::Never => {}
            Sent::Once(header) => parameters.add_header(header)?,
            Sent::Unreadable => return Err(HeaderError::NotText.into()),
            Sent::Repeatedly => return Err(HeaderError::Repeated.into()),
        }
        if let Some(query) = request.query {
            parameters.add_form(query, Source::Query)?;
        }
        if let Some(form) = request.form() {
            parameters.add_form(form, Source::Body)?;
        }
        Ok(parameters)
    }

    /// The parameters of one form-encoded text.
    ///
    /// # Errors
    /// [`ParametersError`], as [`Self::collect`].
    pub fn of_form(text: &'a str, source: Source) -> Result<Self, ParametersError> {
        let mut parameters = Self::default();
        parameters.add_form(text, source)?;
        Ok(parameters)
    }

    /// Adds one that is given by its meaning, as a signer does.
    pub fn add_decoded(&mut self, name: &str, value: &str, source: Source) {
        self.0.push(Parameter {
            name: Cow::Owned(encoding::encode(name).into_owned()),
            value: Cow::Owned(encoding::encode(value).into_owned()),
            source,
        });
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Each parameter, in the order of the sources.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter<'a>> {
        self.0.iter()
    }

    /// The parameters that are signed, sorted by encoded name, then encoded value, octet by octet (§3.4.1.3.2).
    pub fn normalized(&self) -> Vec<&Parameter<'a>> {
        let mut sorted: Vec<_> = self.0.iter().filter(|parameter| parameter.is_signed()).collect();
        sorted.sort_unstable_by(|left, right| left.name.cmp(&right.name).then_with(|| left.value.cmp(&right.value)));
        sorted
    }

    fn add_header(&mut self, header: &'a str) -> Result<(), ParametersError> {
        let credentials = Credentials::parse(header);
        if !credentials.is("OAuth") {
            return Ok(());
        }
        for parameter in credentials.parameters() {
            let parameter = parameter?;
            let name = canonical(parameter.name, Plus::IsPlus);
            // The realm is not percent-encoded (§3.5.1), and never signed: it is kept as it was sent.
            let value = if parameter.name.eq_ignore_ascii_case("realm") {
                Ok(parameter.value)
            } else {
                canonical_value(parameter.value)
            };
            self.add(name, value, Source::Header)?;
        }
        Ok(())
    }

    fn add_form(&mut self, text: &'a str, source: Source) -> Result<(), ParametersError> {
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            self.add(canonical(name, Plus::IsSpace), canonical(value, Plus::IsSpace), source)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        name: Result<Cow<'a, str>, InvalidEscape>,
        value: Result<Cow<'a, str>, InvalidEscape>,
        source: Source,
    ) -> Result<(), ParametersError> {
        if self.0.len() >= MAXIMUM {
            return Err(ParametersError::TooMany);
        }
        let escape = |InvalidEscape| ParametersError::Escape(source);
        self.0.push(Parameter { name: name.map_err(escape)?, value: value.map_err(escape)?, source });
        Ok(())
    }
}

fn canonical_value(value: Cow<'_, str>) -> Result<Cow<'_, str>, InvalidEscape> {
    match value {
        Cow::Borrowed(value) => canonical(value, Plus::IsPlus),
        Cow::Owned(value) => Ok(Cow::Owned(canonical(&value, Plus::IsPlus)?.into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::{Headers, UriScheme};
    use crate::time::Timestamp;
    use proptest::prelude::*;

    fn normalized(text: &str) -> String {
        let parameters = Parameters::of_form(text, Source::Query).unwrap();
        let pairs: Vec<_> =
            parameters.normalized().iter().map(|parameter| format!("{}={}", parameter.name, parameter.value)).collect();
        pairs.join("&")
    }

    #[test]
    fn parameters_are_sorted_by_octets_of_the_encoded_text() {
        assert_eq!(normalized("a=1&c=hi%20there&f=25&f=50&f=a&z=p&z=t"), "a=1&c=hi%20there&f=25&f=50&f=a&z=p&z=t");
        assert_eq!(normalized("z=t&f=a&z=p&f=50&f=25&c=hi+there&a=1"), "a=1&c=hi%20there&f=25&f=50&f=a&z=p&z=t");
        // "a-b" sorts before "a" followed by "=" would suggest: names are compared alone, not with their values.
        assert_eq!(normalized("a-b=1&a=2&A=3"), "A=3&a=2&a-b=1");
    }

    #[test]
    fn a_name_without_a_value_has_an_empty_one_and_empty_pairs_are_none() {
        assert_eq!(normalized("c2&&a3=2+q&=x&"), "=x&a3=2%20q&c2=");
    }

    #[test]
    fn only_the_first_equals_sign_divides_a_pair() {
        assert_eq!(normalized("a=b=c"), "a=b%3Dc");
    }

    #[test]
    fn octets_that_are_no_text_are_signed_but_have_no_meaning() {
        let parameters = Parameters::of_form("a=%ff", Source::Query).unwrap();
        let first = parameters.iter().next().unwrap();
        assert_eq!((first.value.as_ref(), first.decoded()), ("%FF", None));
    }

    #[test]
    fn a_broken_escape_is_named_with_its_source() {
        assert_eq!(Parameters::of_form("a=%g1", Source::Body), Err(ParametersError::Escape(Source::Body)));
    }

    #[test]
    fn one_parameter_too_many_is_refused() {
        let text = "a&".repeat(MAXIMUM + 1);
        assert_eq!(Parameters::of_form(&text, Source::Query), Err(ParametersError::TooMany));
    }

    proptest! {
        #[test]
        fn the_order_in_which_parameters_are_sent_means_nothing(
            pairs in prop::collection::vec(("[a-c%+ä]{0,3}", "[a-c&=% ~ä]{0,3}"), 0..8),
            turn: prop::sample::Index,
        ) {
            let form = |pairs: &[(String, String)]| {
                let mut parameters = Parameters::default();
                pairs.iter().for_each(|(name, value)| parameters.add_decoded(name, value, Source::Query));
                let pairs = parameters.normalized().into_iter().map(|sorted| format!("{}={}", sorted.name, sorted.value));
                pairs.collect::<Vec<_>>()
            };
            let sorted = form(&pairs);
            let mut other = pairs.clone();
            other.rotate_left(if pairs.is_empty() { 0 } else { turn.index(pairs.len()) });
            other.reverse();
            prop_assert_eq!(&form(&other), &sorted);
            // What is normalized and sent that way is normalized to itself.
            let text = sorted.join("&");
            prop_assert_eq!(normalized(&text), text);
        }

        #[test]
        fn no_request_makes_collecting_panic(header: String, query: String, body: Vec<u8>) {
            let header = format!("OAuth {header}");
            let request = ReceivedRequest {
                method: "POST",
                scheme: UriScheme::Http,
                authority: "h",
                path: "/",
                query: Some(&query),
                headers: Headers {
                    authorization: Sent::Once(&header),
                    content_type: Some("application/x-www-form-urlencoded"),
                    ..Headers::default()
                },
                body: Some(&body),
                client_address: [127, 0, 0, 1].into(),
                arrived: Timestamp::from_unix(0),
            };
            if let Ok(parameters) = Parameters::collect(&request) {
                for parameter in parameters.iter().filter(|parameter| parameter.is_signed()) {
                    // All that is signed is in the one spelling.
                    prop_assert!(matches!(canonical(&parameter.name, Plus::IsPlus), Ok(Cow::Borrowed(_))));
                    prop_assert!(matches!(canonical(&parameter.value, Plus::IsPlus), Ok(Cow::Borrowed(_))));
                }
            }
        }
    }
}
