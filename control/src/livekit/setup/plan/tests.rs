use clap::Parser;

use super::*;
use crate::livekit::setup::options::SetupArgs;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: SetupArgs,
}

fn wish(options: &str) -> Wish {
    let words = ["setup"].into_iter().chain(options.split_whitespace());
    // In a shell `--agent ''` is an empty word.
    let words = words.map(|word| if word == "''" { "" } else { word });
    let args = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).args;
    let env = |name: &str| name.ends_with("PASSWORD").then(|| "s3cret".to_owned());
    Wish::new(args, None, env).expect("a wish")
}

/// What the server has once all steps are done, with ids as it gives them.
fn done(steps: Vec<Step>, mut found: Found) -> Found {
    for mut step in steps {
        step.object.use_trunk(Some("ST_1"));
        let (name, is_new) = (step.object.name().to_owned(), step.object.id().is_empty());
        match step.object {
            Object::Inbound(mut trunk) => {
                if is_new {
                    trunk.sip_trunk_id = "ST_1".into();
                }
                found.inbound.retain(|it| it.name != name);
                found.inbound.push(trunk);
            }
            Object::Outbound(mut trunk) => {
                trunk.sip_trunk_id = "ST_2".into();
                found.outbound.retain(|it| it.name != name);
                found.outbound.push(trunk);
            }
            Object::Rule(mut rule) => {
                rule.sip_dispatch_rule_id = "SDR_1".into();
                found.rules.retain(|it| it.name != name);
                found.rules.push(*rule);
            }
        }
    }
    found
}

fn set_up(options: &str) -> Found {
    done(plan(&wish(options), &Found::default()), Found::default())
}

/// After `before`, `options` do this and change these fields.
fn check(before: &Found, options: &str, expected: &[(Action, &str, &[&str])]) {
    let steps = plan(&wish(options), before);
    let shown = steps.iter().map(|step| {
        let fields: Vec<_> = step.changes.iter().map(|change| change.field).collect();
        (step.action, step.object.title(), fields)
    });
    let shown: Vec<_> = shown.collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(action, title, fields)| (*action, (*title).to_owned(), fields.to_vec()))
        .collect();
    assert_eq!(shown, expected, "{options}");
    assert!(!format!("{steps:?}").contains("changes: [s3cret"));
    let after = done(steps, before.clone());
    let again = plan(&wish(options), &after);
    assert!(again.iter().all(|step| step.action == Action::Keep), "{options} twice: {again:?}");
}

#[test]
fn a_first_run_makes_what_is_asked_for_and_a_second_one_nothing() {
    let nothing = Found::default();
    let create = Action::Create;
    check(
        &nothing,
        "--number +15105550100",
        &[
            (create, "inbound trunk vox-inbound", &["numbers"]),
            (create, "dispatch rule vox-calls", &["rooms", "trunks"]),
        ],
    );
    check(
        &nothing,
        "--number 100 --agent vox --metadata m --auth-user u --allow-address 203.0.113.0/24 --name b",
        &[
            (
                create,
                "inbound trunk b-inbound",
                &["numbers", "allowed addresses", "user", "password"],
            ),
            (
                create,
                "dispatch rule b-calls",
                &["rooms", "trunks", "agents", "metadata", "job metadata"],
            ),
        ],
    );
    check(
        &nothing,
        "--outbound-address sip.example --outbound-number 100 --outbound-transport tls",
        &[(create, "outbound trunk vox-outbound", &["address", "transport", "numbers"])],
    );
}

#[test]
fn a_later_run_changes_only_what_its_options_say() {
    let before = set_up(
        "--number +15105550100 --agent vox --metadata m --auth-user u --allow-address 203.0.113.9",
    );
    let (keep, change) = (Action::Keep, Action::Change);
    let (trunk, rule) = ("inbound trunk vox-inbound", "dispatch rule vox-calls");
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("--number +15105550100", &[], &[]),
        ("--number +15105550100 --number 200", &["numbers"], &[]),
        ("--number +15105550100 --allow-address ''", &["allowed addresses"], &[]),
        ("--number +15105550100 --auth-user ''", &["user", "password"], &[]),
        ("--number +15105550100 --agent ''", &[], &["agents", "job metadata"]),
        ("--number +15105550100 --agent box", &[], &["agents", "job metadata"]),
        ("--number +15105550100 --room-prefix call-x", &[], &["rooms"]),
        ("--number +15105550100 --metadata n", &[], &["metadata", "job metadata"]),
    ];
    for (options, trunk_fields, rule_fields) in rows {
        let action = |fields: &[&str]| if fields.is_empty() { keep } else { change };
        check(
            &before,
            options,
            &[
                (action(trunk_fields), trunk, trunk_fields),
                (action(rule_fields), rule, rule_fields),
            ],
        );
    }
}

#[test]
fn what_others_made_stays_and_a_number_of_theirs_is_a_conflict() {
    let mut theirs = set_up("--number 100 --name theirs");
    theirs.inbound[0].sip_trunk_id = "ST_theirs".into();
    let steps = plan(&wish("--number +200"), &theirs);
    assert!(steps.iter().all(|step| step.object.name().starts_with("vox-")));
    assert_eq!(conflicts(&steps, &theirs), Vec::<String>::new());

    let steps = plan(&wish("--number +100"), &theirs);
    let told = conflicts(&steps, &theirs);
    assert!(told.len() == 1 && told[0].contains("theirs-inbound"), "{told:?}");

    let mut twice = set_up("--number 100");
    twice.rules.push(twice.rules[0].clone());
    let told = conflicts(&plan(&wish("--number 100"), &twice), &twice);
    assert_eq!(told, ["2 dispatch rules are called vox-calls: remove all but one"]);
}

#[test]
fn passwords_are_not_shown() {
    let steps = plan(&wish("--number 100 --auth-user u"), &Found::default());
    let shown = serde_json::to_string(&steps[0].changes).expect("JSON");
    assert!(shown.contains("•••") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn wrong_options_are_refused_with_what_was_expected() {
    let rows = [
        ("", "required"),
        ("--number 1x", "expected digits"),
        ("--number 100 --name a/b", "expected 1 to 64 letters"),
        ("--number 100 --allow-address 203.0.113.0/33", "expected an address or a network"),
        ("--number 100 --outbound-user u", "--outbound-address"),
    ];
    for (options, expected) in rows {
        let words = ["setup"].into_iter().chain(options.split_whitespace());
        let Err(error) = Cli::try_parse_from(words) else { panic!("{options} is taken") };
        assert!(error.to_string().contains(expected), "{options}: {error}");
    }
    let args = |options: &str| {
        Cli::try_parse_from(["setup"].into_iter().chain(options.split_whitespace()))
            .expect("options")
            .args
    };
    let error =
        Wish::new(args("--number 100 --auth-user u"), None, |_| None).expect_err("no password");
    assert!(error.starts_with("LIVEKIT_SIP_AUTH_PASSWORD: expected"), "{error}");
    let of_workers = Wish::new(args("--number 100"), Some("vox".into()), |_| None).expect("a wish");
    assert_eq!(of_workers.inbound.and_then(|inbound| inbound.agent).as_deref(), Some("vox"));
    let error = Wish::new(args("--outbound-address h"), None, |_| None).expect_err("no number");
    assert!(error.starts_with("--outbound-number: expected"), "{error}");
}
