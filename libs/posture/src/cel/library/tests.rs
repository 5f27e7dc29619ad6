//! Every function of the libraries by example. The values are those that Kubernetes documents for its own.

use serde_json::{Value, json};

use crate::cel::{Admission, EvalError, Missing, Names, Program, Reads, Run, Slot, Val, Variable, Vocabulary, compile};
use crate::oracle::describe;

struct Policy;

impl Names for Policy {
    fn variable(&self, name: &str) -> Option<(Variable, Reads)> {
        let slot = match name {
            "object" => Slot::Object,
            "oldObject" => Slot::OldObject,
            "authorizer" => Slot::Authorizer,
            _ => return None,
        };
        Some((Variable::Admission(slot), Reads::default()))
    }

    fn neighbour(&self, _: &str) -> Option<u16> {
        None
    }

    fn parameter(&self, _: &str) -> bool {
        false
    }

    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::Policy
    }
}

fn run(program: &Program, object: &Value, steps: u32) -> Result<String, EvalError> {
    let admission = Admission {
        object: Val::of(object),
        old_object: Val::Missing(Missing::OldObject),
        request: Val::Null,
        params: Val::Null,
        namespace: Val::Null,
        any_object: Val::Null,
        parameters: Val::Null,
        lets: &[],
    };
    Run::new(admission, steps).value(program).map(|value| describe(&value))
}

#[track_caller]
fn value(source: &str, object: &Value) -> Result<String, &'static str> {
    let program = compile(source, &Policy).unwrap_or_else(|error| panic!("{source}: {error}"));
    run(&program, object, 100_000).map_err(|error| error.kind.as_str())
}

/// Every line is `expression => value`, where `!` stands for a failure.
#[track_caller]
fn check(lines: &str) {
    let mut wrong = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (source, expected) = line.split_once(" => ").unwrap_or((line, "true"));
        let found = value(source.trim(), &json!({}));
        let holds = match &found {
            Ok(found) => found == expected.trim(),
            Err(_) => expected.trim() == "!",
        };
        if !holds {
            wrong.push(format!("{source}: {found:?}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn quantities() {
    check(
        r#"
        isQuantity('20')
        isQuantity('20M')
        isQuantity('20Mi')
        isQuantity('1.5e3')
        isQuantity('1E')
        isQuantity('1E3')
        isQuantity('-1')
        isQuantity('+0.5Gi')
        !isQuantity('20Mo')
        !isQuantity('10Mm')
        !isQuantity('')
        !isQuantity('1K')
        !isQuantity('1 Mi')
        !isQuantity('1e')
        !isQuantity('1e99999')
        isQuantity('1e-99999')
        !isQuantity('three')
        isQuantity(1) => !
        quantity('10Mo') => !
        quantity('200M') == quantity('0.2G')
        quantity('2000k') == quantity('2M') && quantity('0.002G') == quantity('2000k')
        quantity('200M') == quantity('0.3G') => false
        quantity('1') == 1 => false
        quantity('50M').isLessThan(quantity('50Mi'))
        quantity('50M').isLessThan(quantity('100M'))
        quantity('100M').isLessThan(quantity('50M')) => false
        quantity('50Mi').isGreaterThan(quantity('50M'))
        quantity('50M').isGreaterThan(quantity('100M')) => false
        quantity('200M').compareTo(quantity('0.2G')) => 0
        quantity('50M').compareTo(quantity('50Mi')) => -1
        quantity('50Mi').compareTo(quantity('50M')) => 1
        quantity('50k').add(quantity('20')) == quantity('50.02k')
        quantity('50k').add(20).isLessThan(quantity('50020')) => false
        quantity('50k').sub(quantity('20')) == quantity('49.98k')
        quantity('50k').sub(20) == quantity('49980')
        quantity('50k').add(20).sub(quantity('100k')).asInteger() => -49980
        quantity('50k').add(20).sub(quantity('100k')).sub(-50000).asInteger() => 20
        quantity('50k').asInteger() => 50000
        quantity('9999999999999999999999999999999999999G').asInteger() => !
        quantity('9999999999999999999999999999999999999G').isInteger() => false
        quantity('9999999999999999999999999999999999999G').isGreaterThan(quantity('9999999999999999999999999999999999998G'))
        quantity('50').isInteger()
        quantity('1Gi').isInteger()
        quantity('1Gi').asInteger() => 1073741824
        quantity('100m').isInteger() => false
        quantity('1000m').isInteger() => false
        quantity('1.5Gi').isInteger() => false
        quantity('1.5Gi') == quantity('1536Mi')
        quantity('50.703k').asApproximateFloat() => 50703.0f
        quantity('100m').asApproximateFloat() => 0.1f
        quantity('-3').sign() => -1
        quantity('0').sign() => 0
        quantity('1n').sign() => 1
        quantity('0.1n') == quantity('1n')
        quantity('-0.1n') == quantity('-1n')
        quantity('1u') == quantity('1000n') && quantity('1m') == quantity('1000u') && quantity('1') == quantity('1000m')
        quantity('1k') == quantity('1e3') && quantity('1M') == quantity('1e6') && quantity('1G') == quantity('1E9')
        quantity('1T') == quantity('1e12') && quantity('1P') == quantity('1e15') && quantity('1E') == quantity('1e18')
        quantity('1Ki') == quantity('1024') && quantity('1Mi') == quantity('1024Ki') && quantity('1Gi') == quantity('1024Mi')
        quantity('1Ti') == quantity('1024Gi') && quantity('1Pi') == quantity('1024Ti') && quantity('1Ei') == quantity('1024Pi')
        quantity('100Ei') == quantity('9223372036854775807')
        quantity('0.1').add(quantity('0.2')) == quantity('0.3')
        type(quantity('1')) == kubernetes.Quantity
        "#,
    );
}

#[test]
fn addresses_and_networks() {
    check(
        r#"
        isIP('127.0.0.1')
        isIP('::1')
        isIP('127.0.0.256') => false
        isIP(':::1') => false
        isIP('::ffff:1.2.3.4') => false
        isIP('fe80::1%eth0') => false
        isIP('127.0.0.01') => false
        ip('nope') => !
        ip('127.0.0.1') == ip('127.0.0.1')
        ip('2001:DB8::1') == ip('2001:db8:0::1')
        ip.isCanonical('127.0.0.1')
        ip.isCanonical('2001:db8::abcd')
        ip.isCanonical('2001:DB8::ABCD') => false
        ip.isCanonical('2001:db8::0:0:0:abcd') => false
        ip.isCanonical('nope') => !
        ip('127.0.0.1').family() => 4
        ip('::1').family() => 6
        ip('0.0.0.0').isUnspecified()
        ip('127.0.0.1').isUnspecified() => false
        ip('::').isUnspecified()
        ip('127.0.0.1').isLoopback()
        ip('192.168.0.1').isLoopback() => false
        ip('::1').isLoopback()
        ip('224.0.0.1').isLinkLocalMulticast()
        ip('224.0.1.1').isLinkLocalMulticast() => false
        ip('ff02::1').isLinkLocalMulticast()
        ip('fd00::1').isLinkLocalMulticast() => false
        ip('169.254.169.254').isLinkLocalUnicast()
        ip('192.168.0.1').isLinkLocalUnicast() => false
        ip('fe80::1').isLinkLocalUnicast()
        ip('fd80::1').isLinkLocalUnicast() => false
        ip('192.168.0.1').isGlobalUnicast()
        ip('255.255.255.255').isGlobalUnicast() => false
        ip('2001:db8::abcd').isGlobalUnicast()
        ip('ff00::1').isGlobalUnicast() => false
        string(ip('2001:DB8::1')) => "2001:db8::1"
        type(ip('::1')) == net.IP
        isCIDR('192.168.0.0/24')
        isCIDR('192.168.0.0/') => false
        isCIDR('192.168.0.0/33') => false
        isCIDR('192.168.0.0/024') => false
        isCIDR('192.168.0.0') => false
        cidr('192.168.0.0/') => !
        cidr('192.168.0.0/24').containsIP(ip('192.168.0.1'))
        cidr('192.168.0.0/24').containsIP('192.168.0.1')
        cidr('192.168.0.0/24').containsIP('192.168.1.1') => false
        cidr('192.168.0.0/24').containsIP('nope') => !
        cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/25'))
        cidr('192.168.0.0/24').containsCIDR('192.168.0.0/23') => false
        cidr('2001:db8::/32').containsCIDR('2001:db8::/33')
        cidr('2001:db8::/32').containsCIDR('10.0.0.0/33') => !
        cidr('192.168.0.1/24').ip() == ip('192.168.0.1')
        cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24')
        cidr('192.168.0.1/24') == cidr('192.168.0.0/24') => false
        cidr('2001:db8::/32').prefixLength() => 32
        string(cidr('192.168.0.0/24')) => "192.168.0.0/24"
        type(cidr('192.168.0.0/24')) == net.CIDR
        "#,
    );
}

#[test]
fn urls() {
    check(
        r#"
        isURL('https://user:pass@example.com:80/path?query=val#fragment')
        isURL('/absolute-path')
        isURL('https://a:b:c/') => false
        isURL('../relative-path') => false
        isURL('') => false
        isURL('https://exa mple.com/') => false
        isURL('https://example.com/%zz') => false
        isURL('mailto:someone@example.com')
        url('../relative-path') => !
        url('/path').getScheme() => ""
        url('HTTPS://example.com/').getScheme() => "https"
        url('https://example.com:80/').getHost() => "example.com:80"
        url('https://example.com/').getHost() => "example.com"
        url('https://[::1]:80/').getHost() => "[::1]:80"
        url('/path').getHost() => ""
        url('https://example.com:80/').getHostname() => "example.com"
        url('https://127.0.0.1:80/').getHostname() => "127.0.0.1"
        url('https://[::1]:80/').getHostname() => "::1"
        url('https://[::1]/').getHostname() => "::1"
        url('https://example.com:80/').getPort() => "80"
        url('https://example.com/').getPort() => ""
        url('https://user:pass@example.com:80/path?query=val#fragment').getHost() => "example.com:80"
        url('https://example.com/path').getEscapedPath() => "/path"
        url('https://example.com/path with spaces/').getEscapedPath() => "/path%20with%20spaces/"
        url('https://example.com').getEscapedPath() => ""
        url('https://example.com/a%2Fb').getEscapedPath() => "/a%2Fb"
        url('https://example.com/path#frag').getEscapedPath() => "/path"
        url('https://example.com/path?k1=a&k2=b&k2=c').getQuery() => {"k1":["a"],"k2":["b","c"]}
        url('https://example.com/path?key with spaces=value with spaces').getQuery() => {"key with spaces":["value with spaces"]}
        url('https://example.com/path?a+b=%41').getQuery() => {"a b":["A"]}
        url('https://example.com/path?').getQuery() => {}
        url('https://example.com/path').getQuery() => {}
        url('https://a.example') == url('https://a.example')
        "#,
    );
}

#[test]
fn versions() {
    check(
        r#"
        isSemver('1.2.3-beta.1+build.1')
        isSemver('') => false
        isSemver('v1.0.0') => false
        isSemver(' 1.0.0') => false
        isSemver('01.01.01') => false
        isSemver('1.1') => false
        isSemver('', true) => false
        isSemver('1. 0.0', true) => false
        isSemver('v1.0.0', true)
        isSemver('01.01.01', true)
        isSemver('1', true)
        isSemver('1.1', true)
        isSemver('1.1-rc1', true) => false
        isSemver(1) => !
        semver('v1.0') => !
        semver('v01.01', true) == semver('1.1.0')
        semver('1.2.3') == semver('1.0.0') => false
        semver('1.0.0').isLessThan(semver('1.2.3'))
        semver('1.0.0').isLessThan(semver('1.0.0')) => false
        semver('1.0.0-rc.1').isLessThan(semver('1.0.0'))
        semver('1.2.3').isGreaterThan(semver('1.0.0'))
        semver('1.2.3').compareTo(semver('1.2.3')) => 0
        semver('1.0.0').compareTo(semver('1.2.3')) => -1
        semver('1.2.3').compareTo(semver('1.0.0')) => 1
        semver('1.2.3+a') == semver('1.2.3+b')
        semver('1.2.3').major() => 1
        semver('1.2.3').minor() => 2
        semver('1.2.3').patch() => 3
        semver('1.2.3').isLessThan(quantity('1')) => !
        "#,
    );
}

#[test]
fn formats() {
    check(
        r#"
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
        "#,
    );
}

#[test]
fn lists_and_sets() {
    check(
        r#"
        [1, 2, 3].isSorted()
        ['a', 'b', 'b', 'c'].isSorted()
        [2.0, 1.0].isSorted() => false
        [].isSorted()
        [1, 3].sum() => 4
        [1.0, 3.0].sum() => 4.0f
        [duration('1m'), duration('1s')].sum() == duration('61s')
        [].sum() => 0
        ['a'].sum() => !
        [1, 3].min() => 1
        [1, 3].max() => 3
        ['b', 'a'].min() => "a"
        [].min() => !
        [1, 2, 2, 3].indexOf(2) => 1
        ['a', 'b', 'b', 'c'].lastIndexOf('b') => 2
        [1.0].indexOf(1.1) => -1
        [].indexOf('string') => -1
        [1, 2, 3, 4].slice(1, 3) => [2,3]
        [1].slice(1, 3) => !
        [1, [2, [3]]].flatten() => [1,2,[3]]
        [1, [2, [3]]].flatten(2) => [1,2,3]
        [1, 2, 3].reverse() => [3,2,1]
        lists.range(3) => [0,1,2]
        [1, 2].first().value() => 1
        [].last().hasValue() => false
        [3, 1, 2].sort() => [1,2,3]
        [1, 1, 2].distinct() => [1,2]
        [{'a': 2}, {'a': 1}].sortBy(x, x.a) => [{"a":1},{"a":2}]
        sets.contains([1, 2, 3], [2, 3])
        sets.contains([1, 2], [3]) => false
        sets.contains([], [])
        sets.equivalent([1, 2, 2], [2, 1])
        sets.equivalent([1], [1, 2]) => false
        sets.intersects([1, 2], [2, 3])
        sets.intersects([1], []) => false
        "#,
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
fn numbers() {
    check(
        r#"
        math.greatest(1, 2.5, 2u) => 2.5f
        math.greatest([1, 3, 2]) => 3
        math.least(-1, 1) => -1
        math.least('a', 'b') => !
        math.greatest([]) => !
        math.ceil(1.2) => 2.0f
        math.floor(-1.2) => -2.0f
        math.round(1.5) => 2.0f
        math.round(-1.5) => -2.0f
        math.trunc(-1.9) => -1.0f
        math.ceil(1) => !
        math.abs(-3) => 3
        math.abs(-9223372036854775808) => !
        math.sign(-2.5) => -1.0f
        math.sign(0) => 0
        math.isNaN(0.0 / 0.0)
        math.isInf(1.0 / 0.0)
        math.isFinite(1.5)
        math.sqrt(81) => 9.0f
        math.bitAnd(3, 5) => 1
        math.bitOr(1u, 2u) => 3u
        math.bitXor(3, 5) => 6
        math.bitNot(1) => -2
        math.bitShiftLeft(1, 2) => 4
        math.bitShiftLeft(1, 64) => 0
        math.bitShiftRight(-1024, 3) => 2305843009213693824
        math.bitShiftRight(1, -1) => !
        string(1.0) => "1"
        string(1234567.0) => "1.234567e+06"
        string(0.00001) => "1e-05"
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
        r#"
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
        "#,
    );
}

#[test]
fn macros() {
    check(
        r#"
        [1, 2].all(i, v, v == i + 1)
        {'a': 1, 'b': 2}.exists(k, v, k == 'b' && v == 2)
        {'a': 1, 'b': 1}.existsOne(k, v, v == 1) => false
        [1, 1].exists_one(i, v, i == 1)
        ['a', 'b'].transformList(i, v, string(i) + v) => ["0a","1b"]
        [1, 2, 3].transformList(i, v, i > 0, v * 10) => [20,30]
        {'a': 1}.transformList(k, v, k) => ["a"]
        {'a': 1, 'b': 2}.transformMap(k, v, v + 1) => {"a":2,"b":3}
        {'a': 1, 'b': 2}.transformMap(k, v, k == 'a', v + 1) => {"a":2}
        [5, 6].transformMap(i, v, v) => {0:5,1:6}
        {'a': 'x'}.transformMapEntry(k, v, {v: k}) => {"x":"a"}
        {'a': 'x', 'b': 'x'}.transformMapEntry(k, v, {v: k}) => !
        [1, 0].all(i, v, 1 / v == 2) => false
        [0, 1].exists(i, v, 1 / v == 1)
        cel.bind(x, 'a', x + x) => "aa"
        cel.bind(x, 1, [2].map(y, x + y)) => [3]
        [[1], [2]].map(x, x.map(y, [y, x])) => [[[1,[1]]],[[2,[2]]]]
        "#,
    );
}

#[test]
fn a_field_of_a_value_without_fields_is_absent() {
    let object = json!({"text": "x", "list": [1]});
    for (source, expected) in [
        ("has(object.text.field)", Ok("false")),
        ("has(object.nothing)", Ok("false")),
        ("has(object.list.field)", Err("no matching overload")),
        ("has(object.text.field.below)", Err("no matching overload")),
        ("object.?text.?field.orValue('none')", Ok("\"none\"")),
    ] {
        assert_eq!(value(source, &object), expected.map(str::to_owned), "{source}");
    }
}

#[test]
fn what_is_not_known_decides_nothing() {
    let unknown = Err("the object before the change is not known");
    for (source, expected) in [
        ("oldObject.spec == object.spec", unknown),
        ("has(oldObject.spec)", unknown),
        ("oldObject.?spec.orValue(1)", unknown),
        ("false && oldObject.x", Ok("false")),
        ("oldObject.x || true", Ok("true")),
        ("object.nope || oldObject.x", unknown),
        ("[1].exists(x, oldObject.x)", unknown),
        ("authorizer.group('').resource('pods').check('get').allowed()", Err("there is no authorizer to ask")),
        ("authorizer.requestResource.check('get').allowed()", Err("there is no authorizer to ask")),
        ("authorizer.serviceAccount('a', 'b').path('/x').check('get').reason()", Err("there is no authorizer to ask")),
    ] {
        assert_eq!(value(source, &json!({})), expected.map(str::to_owned), "{source}");
    }
}

#[track_caller]
fn refused(source: &str, line: usize, column: usize, message: &str) {
    let error = compile(source, &Policy).map(|_| ()).unwrap_err();
    assert_eq!((error.line, error.column), (line, column), "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn what_there_is_not_is_refused_with_its_position() {
    refused("true &&\n  math.cube(2)", 2, 12, "unknown function `math.cube`");
    refused("sets.contains([1])", 1, 14, "with 1 arguments");
    refused("'a'.find('(')", 1, 9, "invalid regular expression");
    refused("cel.bind(x.y, 1, x)", 1, 11, "simple name");
    refused("[1].all(i, v.x, true)", 1, 8, "simple names");
    refused("neighbours.x", 1, 1, "`neighbours` is not declared");
    refused("selects", 1, 1, "not declared");
    refused("quantity('1').mul(2)", 1, 18, "unknown method `mul`");
    refused("params.x", 1, 1, "`params` is not declared");
}

#[test]
fn size_depth_and_steps_are_bounded() {
    let sum = |terms: usize| vec!["1"; terms].join("+");
    refused(&sum(20_000), 1, 1, "longer than 16384 bytes");
    assert!(compile(&sum(8_000), &Policy).unwrap_err().message.contains("nested deeper"));
    assert!(compile(&format!("{}1{}", "(".repeat(8_000), ")".repeat(8_000)), &Policy).is_err());
    assert!(compile(&"[".repeat(16_000), &Policy).is_err());
    let object = json!({"c": (0..100).collect::<Vec<_>>()});
    for source in [
        "object.c.all(a, object.c.all(b, object.c.all(c, object.c.all(d, a + b + c + d >= 0))))",
        "object.c.transformMap(i, a, object.c.transformMap(j, b, object.c.transformList(k, c, a))).size() >= 0",
        "lists.range(9223372036854775807).size() > 0",
        "object.c.map(a, object.c.map(b, object.c + object.c)).flatten(9).size() > 0",
        "object.c.map(a, '%s'.format([object.c]).findAll('[0-9]')).size() > 0",
    ] {
        let program = compile(source, &Policy).unwrap();
        assert_eq!(run(&program, &object, 10_000).unwrap_err().kind.as_str(), "step budget exhausted", "{source}");
    }
}
