//! The dance, grants and tokens: who wins a race, and what is refused afterwards.

use std::collections::HashSet;

use countersign::domain::account::{Reach, Role};
use countersign::domain::credentials::GrantId;
use countersign::domain::delegation::{TemporaryRefusal, TokenRefusal};
use countersign::domain::scope::Scopes;
use countersign::store::delegations::{DelegationError, GrantFilter, TokenFilter};
use countersign::store::page::Page;
use countersign::time::Lifetime;
use futures_util::future::join_all;

use super::kit::{LIMITS, NOW, by, by_at, company_id, hash, on_each_database, scopes};

#[test]
fn a_dance_ends_with_a_token_that_may_do_what_was_consented_to() {
    on_each_database(async |kit| {
        let (owner, holder) = (kit.account("owner").await, kit.account("holder").await);
        let client = kit.client(&owner, "a:read b:read").await;
        let temporary = kit.temporary(&client, "a:read b:read").await;
        let stored = kit.store.delegations.temporary(&hash(&temporary.token)).await.expect("an answer");
        let (credentials, secret) = stored.expect("is there");
        assert_eq!(credentials, temporary.credentials);
        assert!(secret.matches(temporary.secret.expose().as_bytes()));
        let verifier = kit.allow(&temporary, &holder, "a:read").await;
        let token = kit.exchange(&temporary, &client, verifier.expose()).await.expect("a token");
        assert_eq!(token.username.as_str(), "holder");
        let found = kit.store.directory.token(&hash(&token.token), NOW).await.expect("an answer").expect("is there");
        assert_eq!(found.credentials, token.credentials);
        assert!(found.secret.matches(token.secret.expose().as_bytes()));
        assert_eq!(found.standing(NOW).map(ToString::to_string), Ok("a:read".to_owned()));
        let again = kit.exchange(&temporary, &client, verifier.expose()).await;
        assert!(matches!(again, Err(DelegationError::Refused(TemporaryRefusal::Used))));
    });
}

#[test]
fn many_exchanges_of_one_request_token_give_one_access_token() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let temporary = kit.temporary(&client, "a:read").await;
        let verifier = kit.allow(&temporary, &jo, "a:read").await;
        let outcomes = join_all((0..20).map(|_| kit.exchange(&temporary, &client, verifier.expose()))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refused, DelegationError::Refused(TemporaryRefusal::Used)), "{refused}");
        }
        let tokens = kit.store.delegations.tokens(&Reach::Everything, TokenFilter::default(), Page::first(100)).await;
        assert_eq!(tokens.expect("a list").items.len(), 1);
    });
}

#[test]
fn the_first_of_many_decisions_counts() {
    on_each_database(async |kit| {
        let (jo, al) = (kit.account("jo").await, kit.account("al").await);
        let client = kit.client(&jo, "a:read").await;
        let temporary = kit.temporary(&client, "a:read").await;
        let token = hash(&temporary.token);
        let by = by();
        let decisions = (0..10).map(|number| {
            let account = if number % 2 == 0 { &jo.id } else { &al.id };
            kit.store.delegations.authorize(&token, account, scopes("a:read"), &by)
        });
        let outcomes = join_all(decisions).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refused, DelegationError::Refused(TemporaryRefusal::AlreadyAuthorized)), "{refused}");
        }
    });
}

#[test]
fn a_denied_request_token_is_dead() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let temporary = kit.temporary(&client, "").await;
        let decided = kit.store.delegations.deny(&hash(&temporary.token), &jo.id, &by()).await.expect("denied");
        assert!(decided.verifier.is_none());
        let refused = kit.exchange(&temporary, &client, "guess").await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Denied))));
        let refused = kit.store.delegations.authorize(&hash(&temporary.token), &jo.id, Scopes::none(), &by()).await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Denied))));
    });
}

#[test]
fn a_request_token_is_refused_unless_authorized_in_time_and_by_its_own_client() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let (client, other) = (kit.client(&jo, "").await, kit.client(&jo, "").await);
        let temporary = kit.temporary(&client, "").await;
        let refused = kit.exchange(&temporary, &client, "guess").await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::NotAuthorized))));
        let late = kit.store.delegations.authorize(&hash(&temporary.token), &jo.id, Scopes::none(), &by_at(600)).await;
        assert!(matches!(late, Err(DelegationError::Refused(TemporaryRefusal::Expired))));
        let verifier = kit.allow(&temporary, &jo, "").await;
        let refused = kit.exchange(&temporary, &other, verifier.expose()).await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Unknown))));
        let token = hash(&temporary.token);
        let key = &client.client.client_key;
        let late = kit.store.delegations.exchange(&token, key, verifier.expose(), LIMITS, &by_at(600)).await;
        assert!(matches!(late, Err(DelegationError::Refused(TemporaryRefusal::Expired))));
        kit.exchange(&temporary, &client, verifier.expose()).await.expect("none of that used it up");
    });
}

#[test]
fn a_request_token_dies_after_too_many_wrong_verifiers() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let patient = kit.temporary(&client, "").await;
        let verifier = kit.allow(&patient, &jo, "").await;
        for _ in 0..4 {
            let refused = kit.exchange(&patient, &client, "wrong").await;
            assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::WrongVerifier))));
        }
        kit.exchange(&patient, &client, verifier.expose()).await.expect("the fifth attempt is judged");

        let attacked = kit.temporary(&client, "").await;
        let verifier = kit.allow(&attacked, &jo, "").await;
        let outcomes = join_all((0..20).map(|_| kit.exchange(&attacked, &client, "wrong"))).await;
        let judged = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(DelegationError::Refused(TemporaryRefusal::WrongVerifier))));
        assert_eq!(judged.count(), 5, "no more are judged, however many come at once");
        let refused = kit.exchange(&attacked, &client, verifier.expose()).await;
        assert!(matches!(refused, Err(DelegationError::Refused(TemporaryRefusal::Exhausted))));
    });
}

#[test]
fn two_dances_of_one_account_and_client_share_a_grant() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read b:read").await;
        let dances =
            join_all((0..6).map(|number| kit.token(&client, &jo, if number % 2 == 0 { "a:read" } else { "b:read" })))
                .await;
        let grants: HashSet<&str> = dances.iter().map(|token| token.credentials.grant.as_str()).collect();
        assert_eq!(grants.len(), 1);
        let grant = kit.store.delegations.grant_of(&jo.id, &client.client.client_key).await.expect("an answer");
        assert_eq!(grant.expect("is there").scopes, scopes("a:read b:read"));
        let list =
            kit.store.delegations.grants(&Reach::Everything, GrantFilter::default(), NOW, Page::first(100)).await;
        let list = list.expect("a list");
        assert_eq!(list.items.iter().map(|item| item.active_tokens).collect::<Vec<_>>(), [6]);
    });
}

#[test]
fn a_revoked_token_is_refused_at_once_and_its_sister_is_not() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        let (first, second) = (kit.token(&client, &jo, "a:read").await, kit.token(&client, &jo, "a:read").await);
        assert!(kit.is_good(&first).await && kit.is_good(&second).await);
        let by_value = kit.store.delegations.token(first.token.expose()).await.expect("an answer");
        let by_id = kit.store.delegations.token(first.credentials.id.as_str()).await.expect("an answer");
        assert_eq!(by_value, Some(first.credentials.clone()));
        assert_eq!(by_id, by_value);
        kit.store.delegations.revoke_token(&first.credentials.id, &by()).await.expect("revoked");
        kit.store.delegations.revoke_token(&first.credentials.id, &by()).await.expect("again is no error");
        assert!(!kit.is_good(&first).await && kit.is_good(&second).await);
        let found = kit.store.directory.token(&hash(&first.token), NOW).await.expect("an answer").expect("is kept");
        assert_eq!(found.standing(NOW), Err(TokenRefusal::Revoked));
    });
}

#[test]
fn revoking_a_grant_kills_all_its_tokens_also_one_that_is_just_being_issued() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "a:read").await;
        for round in 0..6 {
            let first = kit.token(&client, &jo, "a:read").await;
            let grant = first.credentials.grant.clone();
            let temporary = kit.temporary(&client, "a:read").await;
            let verifier = kit.allow(&temporary, &jo, "a:read").await;
            let by = by();
            let (revoked, second) = tokio::join!(
                kit.store.delegations.revoke_grant(&grant, &by),
                kit.exchange(&temporary, &client, verifier.expose()),
            );
            revoked.expect("revoked");
            assert!(!kit.is_good(&first).await);
            // Either the token came first and died with the grant, or what was allowed is not any more.
            match second {
                Ok(second) => assert!(!kit.is_good(&second).await, "round {round}"),
                Err(refused) => assert!(
                    matches!(refused, DelegationError::Refused(TemporaryRefusal::Denied)),
                    "round {round}: {refused}"
                ),
            }
            assert_eq!(kit.store.delegations.revoke_all_of_account(&jo.id, &by).await.expect("revoked"), 0);
        }
        let nothing = GrantId::parse("nothing").expect("an id");
        let refused = kit.store.delegations.revoke_grant(&nothing, &by()).await;
        assert!(matches!(refused, Err(DelegationError::GrantNotFound)));
    });
}

#[test]
fn a_member_sees_its_own_tokens_and_those_of_its_clients() {
    on_each_database(async |kit| {
        let owner = kit.member("owner", "acme", Role::Member).await;
        let holder = kit.member("holder", "other", Role::Member).await;
        let stranger = kit.account("stranger").await;
        let client = kit.client(&owner, "a:read").await;
        let token = kit.token(&client, &holder, "a:read").await;
        let direct = kit
            .store
            .delegations
            .issue_directly(&client.client.client_key, &owner.id, scopes("a:read"), None, &by())
            .await
            .expect("a token");
        let seen = async |reach: Reach| {
            let page = kit.store.delegations.tokens(&reach, TokenFilter::default(), Page::first(100)).await;
            page.expect("a list").items.len()
        };
        assert_eq!(seen(Reach::Account(owner.id.clone())).await, 2);
        assert_eq!(seen(Reach::Account(holder.id.clone())).await, 1);
        assert_eq!(seen(Reach::Account(stranger.id.clone())).await, 0);
        assert_eq!(seen(Reach::Company(company_id("other"))).await, 1);
        assert_eq!(seen(Reach::Company(company_id("acme"))).await, 2, "also that of a holder outside");
        assert_eq!(seen(Reach::Company(company_id("none"))).await, 0);
        let grants = async |reach: Reach| {
            let page = kit.store.delegations.grants(&reach, GrantFilter::default(), NOW, Page::first(100)).await;
            page.expect("a list").items.len()
        };
        assert_eq!(grants(Reach::Company(company_id("acme"))).await, 1, "a grant is its account's");
        assert_eq!(seen(Reach::Everything).await, 2);
        kit.store.delegations.revoke_token(&direct.credentials.id, &by()).await.expect("revoked");
        let filter = TokenFilter { alive_at: Some(NOW), ..TokenFilter::default() };
        let alive = kit.store.delegations.tokens(&Reach::Everything, filter, Page::first(100)).await.expect("a list");
        assert_eq!(alive.items.iter().map(|item| &item.token).collect::<Vec<_>>(), [&token.credentials]);
        assert!(alive.items.iter().all(|item| token.token.expose().ends_with(item.token.hint.as_str())));
    });
}

#[test]
fn an_expired_token_is_refused_and_in_the_end_deleted() {
    on_each_database(async |kit| {
        let jo = kit.account("jo").await;
        let client = kit.client(&jo, "").await;
        let lifetime = Some(Lifetime::from_seconds(60));
        let key = &client.client.client_key;
        let token =
            kit.store.delegations.issue_directly(key, &jo.id, Scopes::none(), lifetime, &by()).await.expect("a token");
        kit.temporary(&client, "").await;
        let directory = &kit.store.directory;
        let found = directory.token(&hash(&token.token), NOW).await.expect("an answer").expect("is there");
        assert!(found.standing(NOW + Lifetime::from_seconds(59)).is_ok());
        assert_eq!(found.standing(NOW + Lifetime::from_seconds(60)), Err(TokenRefusal::Expired));
        kit.store.clean_up(NOW + Lifetime::from_seconds(600)).await.expect("cleaned");
        assert!(kit.store.delegations.token(token.token.expose()).await.expect("an answer").is_some());
        kit.store.clean_up(NOW + Lifetime::from_seconds(40 * 86_400)).await.expect("cleaned");
        assert!(kit.store.delegations.token(token.token.expose()).await.expect("an answer").is_none());
    });
}
