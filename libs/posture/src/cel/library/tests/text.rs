use super::check;

#[test]
fn formats() {
    check(
        r"
        !format.dns1123Label().validate('my-label-name').hasValue()
        format.dns1123Label().validate('My.Label').hasValue()
        format.dns1123Label().validate('contains_underscore').value().size() => 1
        !format.dns1123Subdomain().validate('apiextensions.k8s.io').hasValue()
        format.dns1123Subdomain().validate('a..b').hasValue()
        format.dns1035Label().validate('1abc').hasValue()
        !format.qualifiedName().validate('apiextensions.k8s.io/v1beta1').hasValue()
        format.qualifiedName().validate('a/b/c').hasValue()
        !format.dns1123LabelPrefix().validate('my-label-prefix-').hasValue()
        !format.dns1123SubdomainPrefix().validate('mysubdomain.prefix.-').hasValue()
        !format.dns1035LabelPrefix().validate('my-label-prefix-').hasValue()
        !format.labelValue().validate('').hasValue()
        format.labelValue().validate('-x').hasValue()
        !format.uri().validate('http://example.com').hasValue()
        format.uri().validate('example').hasValue()
        !format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue()
        format.uuid().validate('123e4567').hasValue()
        !format.byte().validate('aGVsbG8=').hasValue()
        format.byte().validate('a').hasValue()
        !format.date().validate('2021-01-01').hasValue()
        format.date().validate('2021-13-01').hasValue()
        !format.datetime().validate('2021-01-01T00:00:00Z').hasValue()
        format.datetime().validate('2021-01-01').hasValue()
        format.named('dns1123Label').value() == format.dns1123Label()
        format.named('nope').hasValue() => false
        ",
    );
}

#[test]
fn patterns() {
    check(
        r#"
        'abc 123'.find('[0-9]+') => "123"
        'abc'.find('[0-9]+') => ""
        '123 abc 456'.findAll('[0-9]+') => ["123","456"]
        '123 abc 456'.findAll('[0-9]+', 1) => ["123"]
        'abc'.findAll('[0-9]+') => []
        'ü'.matches('^\\w$') => false
        'a{,2}'.matches('^a{,2}$')
        "#,
    );
}

#[test]
fn texts() {
    check(
        r#"
        'gums'.reverse() => "smug"
        strings.quote('a "b"\n') => "\"a \\\"b\\\"\\n\""
        'hello mellow'.indexOf('ello', 2) => 7
        'hello mellow'.indexOf('', 2) => 2
        'hello'.indexOf('x', 99) => -1
        'hello'.indexOf('x', -1) => !
        'hello mellow'.lastIndexOf('ello', 6) => 1
        'hello mellow'.lastIndexOf('ello', 99) => -1
        'hello mellow'.lastIndexOf('ello') => 7
        'tacocat'.charAt(3) => "o"
        'TacoCat'.lowerAscii() => "tacocat"
        ' x '.trim() => "x"
        'a,b'.split(',') => ["a","b"]
        ['x', 'y'].join('-') => "x-y"
        'hello hello'.replace('he', 'we', 1) => "wello hello"
        jsonpatch.escapeKey('k8s.io/my~label') => "k8s.io~1my~0label"
        b'abc' == bytes('abc')
        string(b'abc') => "abc"
        size(b'\xff\xfe') => 2
        string(b'\xff') => !
        '%s and %d'.format(['str', 42]) => "str and 42"
        '%s'.format([64.2]) => "64.2"
        '%s'.format([type('')]) => "string"
        '%s'.format([timestamp('2023-02-03T23:31:20+00:00')]) => "2023-02-03T23:31:20Z"
        '%s'.format([duration('1h45m47s')]) => "6347s"
        '%f'.format([3.14]) => "3.140000"
        '%.2f'.format([12345.678]) => "12,345.68"
        '%b %o %x %X'.format([5, 30, 26, 26]) => "101 36 1a 1A"
        '%x'.format(['Hello']) => "48656c6c6f"
        '%b'.format([true]) => "1"
        '%x'.format([-26]) => "-1a"
        '%s'.format([[1, 'a', 2.5, null, {'b': 'x', 'a': true}]]) => "[1, \"a\", 2.500000, null, {\"a\":true, \"b\":\"x\"}]"
        '100%%'.format([]) => "100%"
        '%s'.format([]) => !
        '%d'.format(['x']) => !
        '%q'.format(['x']) => !
        '%'.format(['x']) => !
        "#,
    );
}

#[test]
fn times() {
    check(
        r"
        timestamp('2009-02-13T23:31:30.456Z').getFullYear() => 2009
        timestamp('2009-02-13T23:31:30.456Z').getMonth() => 1
        timestamp('2009-02-13T23:31:30.456Z').getDate() => 13
        timestamp('2009-02-13T23:31:30.456Z').getDayOfMonth() => 12
        timestamp('2009-02-13T23:31:30.456Z').getDayOfWeek() => 5
        timestamp('2009-02-13T23:31:30.456Z').getDayOfYear() => 43
        timestamp('2009-02-13T23:31:30.456Z').getHours() => 23
        timestamp('2009-02-13T23:31:30.456Z').getMinutes() => 31
        timestamp('2009-02-13T23:31:30.456Z').getSeconds() => 30
        timestamp('2009-02-13T23:31:30.456Z').getMilliseconds() => 456
        timestamp('2009-02-13T23:31:30Z').getDate('Australia/Sydney') => 14
        timestamp('2009-02-13T23:31:30Z').getHours('-02:30') => 21
        timestamp('2009-02-13T23:31:30Z').getMinutes('05:15') => 46
        timestamp('2009-02-13T23:31:30Z').getHours('Nowhere/Land') => !
        duration('1h30m').getHours() => 1
        duration('1h30m').getMinutes() => 90
        duration('90s').getSeconds() => 90
        duration('1.5s').getMilliseconds() => 1500
        duration('1h').getDate() => !
        type(timestamp('2009-02-13T23:31:30Z')) == google.protobuf.Timestamp
        ",
    );
}
