use super::check;

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
        [optional.of(1), optional.none()].unwrapOpt() => [1]
        optional.unwrap([optional.of(1), optional.none()]) => [1]
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
