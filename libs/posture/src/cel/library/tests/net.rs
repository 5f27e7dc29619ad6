use super::check;

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
