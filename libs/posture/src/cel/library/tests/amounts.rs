use super::check;

#[test]
fn quantities() {
    check(
        r"
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
        ",
    );
}

#[test]
fn versions() {
    check(
        r"
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
        ",
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
