use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Document, read};

fn documents(text: &str) -> Vec<Document> {
    read(text.as_bytes().to_vec()).unwrap()
}

#[track_caller]
fn check(text: &str, expected: &[(usize, Value)]) {
    let found: Vec<_> = documents(text).into_iter().map(|it| (it.line, it.content.unwrap())).collect();
    assert_eq!(found, expected);
}

#[test]
fn streams_are_cut_at_their_markers() {
    check("a: 1", &[(1, json!({"a": 1}))]);
    check(
        "# first\n---\na: 1\n--- # second\n\nb: |\n  --- no\n  x\n",
        &[(3, json!({"a": 1})), (6, json!({"b": "--- no\nx\n"}))],
    );
    check(
        "%YAML 1.2\r\n---\r\na: 1\r\n---\r\n# nothing\r\n---\r\nb: 2\r\n...\r\n",
        &[(3, json!({"a": 1})), (4, Value::Null), (7, json!({"b": 2}))],
    );
    check("--- {a: 1}\n---\n- b\n", &[(1, json!({"a": 1})), (3, json!(["b"]))]);
    check("\u{FEFF}a: 1\n", &[(1, json!({"a": 1}))]);
}

#[test]
fn scalars_are_read_as_kubernetes_reads_them() {
    check(
        "a: yes\nb: off\nc: 0644\nd: '0644'\ne: 1.5\nf: ~\n1: x\n",
        &[(1, json!({"a": true, "b": false, "c": 420, "d": "0644", "e": 1.5, "f": null, "1": "x"}))],
    );
    check("x: &x {a: 1}\ny: {<<: *x, b: 2}\n", &[(1, json!({"x": {"a": 1}, "y": {"a": 1, "b": 2}}))]);
}

#[test]
fn json_values_follow_each_other() {
    check("{\"a\": 1}\n\n[\n{\"b\": 2}]\n", &[(1, json!({"a": 1})), (3, json!([{"b": 2}]))]);
    check("{a: 1}", &[(1, json!({"a": 1}))]);
    let trouble = read(b"{\"a\": 1,\n \"b\": [}".to_vec()).unwrap_err();
    assert_eq!(trouble.line, Some(2), "{trouble:?}");
}

#[test]
fn an_error_has_its_place_and_hides_nothing_else() {
    let found = documents("a: 1\n---\nb: [1\nc: 2\n---\nd: 4\n");
    assert_eq!(found[0].content.as_ref().unwrap(), &json!({"a": 1}));
    let trouble = found[1].content.as_ref().unwrap_err();
    assert!(trouble.line.is_some_and(|line| (3..=5).contains(&line)), "{trouble:?}");
    assert!(!trouble.message.contains(" at line "), "{trouble:?}");
    assert_eq!(found[2].content.as_ref().unwrap(), &json!({"d": 4}));
    let tab = &documents("a:\n\tb: 1\n")[0].content;
    assert_eq!(tab.as_ref().unwrap_err().line, Some(2), "{tab:?}");
}

#[test]
fn a_template_is_told_from_a_manifest() {
    for text in ["{{- if .Values.x }}\na: 1\n{{- end }}\n", "a: {{ .Values.x }}\n"] {
        let found = documents(text);
        let trouble = found[0].content.as_ref().unwrap_err();
        assert!(trouble.message.contains("helm template"), "{trouble:?}");
    }
}

#[test]
fn a_repeated_key_takes_its_last_value() {
    let found = documents("x: 1\n---\na: 1\nb: 2\na: 3\n");
    assert_eq!(found[1].content.as_ref().unwrap(), &json!({"a": 3, "b": 2}));
    assert_eq!(found[1].repeated_key.as_ref().unwrap().0, 5);
}

#[test]
fn a_bomb_is_refused_at_once() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{list}]").unwrap();
    }
    assert!(documents(&text)[0].content.is_err());
    let deep = format!("a: {}1{}", "[".repeat(2000), "]".repeat(2000));
    assert!(documents(&deep)[0].content.is_err());
}

#[test]
fn other_encodings() {
    let wide: Vec<u8> = [0xFF, 0xFE].into_iter().chain("a: 1\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(read(wide).unwrap()[0].content.as_ref().unwrap(), &json!({"a": 1}));
    assert!(read(vec![0xC3, 0x28]).is_err());
}
