import { createAddressPolicy } from '../../src/egress/address-policy';
import { createTargetCheck } from '../../src/egress/check-target';
import { answering, closeAll, errorOf, hanging, loopbackSender, post, type Resolve, rawServer, to } from './support';

afterEach(closeAll);

const publicOnly = createAddressPolicy({ allowedCidrs: [] });

function check(url: string, resolve: Resolve, dnsTimeoutMs = 20_000): Promise<'blocked_address' | undefined> {
  return createTargetCheck({ policy: publicOnly, dnsTimeoutMs, nameServers: answering(resolve) })(
    new URL(url),
    'a tenant',
  );
}

describe('addresses, in every spelling that the URL parser knows', () => {
  const refused = [
    // Dotted, shortened, octal, hexadecimal, decimal (WHATWG URL, IPv4 parser).
    ...['127.0.0.1', '127.1', '127.0.1', '0177.0.0.1', '0x7f.1', '0x7F000001', '2130706433', '017700000001'],
    ...['127.0.0.1.', '%31%32%37.0.0.1', '１２７.０.０.１', '127。0。0。1', '①②⑦.1'],
    ...['0', '0.0.0.0', '0.255.255.255', '10.0.0.0', '10.255.255.255', '100.64.0.0', '100.127.255.255'],
    ...['169.254.169.254', '0xa9fea9fe', '2852039166', '169.254.43518', '168.63.129.16', '172.16.0.0'],
    ...['172.31.255.255', '192.168.0.0', '192.168.255.255', '198.18.0.0', '224.0.0.0', '255.255.255.255', '4294967295'],
    ...['[::]', '[::1]', '[0:0:0:0:0:0:0:1]', '[fe80::1]', '[fc00::1]', '[fd00:ec2::254]', '[ff02::1]'],
    ...['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[0:0:0:0:0:FFFF:169.254.169.254]', '[64:ff9b::10.0.0.1]'],
    ...['[::127.0.0.1]', '[2002:7f00:1::]', '[2001::1]', '[2001:db8::1]'],
  ];
  const accepted = [
    ...['8.8.8.8', '134744072', '0x08080808', '010.8.8.8', '1.0.0.0', '9.255.255.255', '11.0.0.0', '126.255.255.255'],
    ...['128.0.0.0', '100.63.255.255', '100.128.0.0', '169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0'],
    ...['192.167.255.255', '192.169.0.0', '223.255.255.255', '2852126720'],
    ...['[2001:4860:4860::8888]', '[2606:4700:4700::1111]', '[::ffff:8.8.8.8]', '[64:ff9b::808:808]'],
  ];

  test.each([...refused.map((host) => [host, 'blocked_address']), ...accepted.map((host) => [host, undefined])] as [
    string,
    'blocked_address' | undefined,
  ][])('%s → %s', async (host, answer) => {
    const lookedUp: string[] = [];
    const resolve: Resolve = async (name) => {
      lookedUp.push(name);
      return [];
    };
    expect(await check(`https://${host}:8443/hook?x=1`, resolve)).toBe(answer);
    expect(await check(`http://${host}`, resolve)).toBe(answer);
    expect(lookedUp).toEqual([]);
  });

  test('the blocks that the installation opened are open', async () => {
    const policy = createAddressPolicy({ allowedCidrs: ['127.0.0.0/8'] });
    const checkTarget = createTargetCheck({ policy, dnsTimeoutMs: 20_000, nameServers: answering(to('127.0.0.1')) });
    expect(await checkTarget(new URL('http://127.1/'), 'a tenant')).toBeUndefined();
    expect(await checkTarget(new URL('http://name.test/'), 'a tenant')).toBeUndefined();
    expect(await checkTarget(new URL('http://10.0.0.1/'), 'a tenant')).toBe('blocked_address');
  });
});

describe('names', () => {
  test.each<[string, string[], 'blocked_address' | undefined]>([
    ['outside', ['8.8.8.8', '2606:4700:4700::1111'], undefined],
    ['inside', ['10.0.0.1'], 'blocked_address'],
    ['inside at the end', ['8.8.8.8', '2606:4700:4700::1111', '::1'], 'blocked_address'],
    ['inside at first', ['169.254.169.254', '8.8.8.8'], 'blocked_address'],
    ['inside as IPv6', ['8.8.8.8', '::ffff:10.0.0.1'], 'blocked_address'],
    ['link-local with a zone', ['fe80::1%eth0'], 'blocked_address'],
  ])('%s', async (_, addresses, answer) => {
    expect(await check('https://name.test/', to(...addresses))).toBe(answer);
  });

  test('are asked for as the connection will ask', async () => {
    const asked: string[] = [];
    const resolve: Resolve = async (hostname) => {
      asked.push(hostname);
      return [{ address: '8.8.8.8', family: 4 }];
    };
    await check('https://EXAMPLE.com:8443/', resolve);
    await check('https://bücher.example./', resolve);
    expect(asked).toEqual(['example.com', 'xn--bcher-kva.example.']);
  });

  test('localhost, by the system’s own resolver', async () => {
    const checkTarget = createTargetCheck({ policy: publicOnly, dnsTimeoutMs: 20_000 });
    expect(await checkTarget(new URL('http://localhost/'), 'a tenant')).toBe('blocked_address');
  });

  test.each<[string, Resolve]>([
    ['does not exist', to()],
    [
      'cannot be looked up',
      async () => {
        throw Object.assign(new Error('getaddrinfo EAI_AGAIN'), { code: 'EAI_AGAIN' });
      },
    ],
  ])('one that %s is accepted', async (_, resolve) => {
    expect(await check('https://name.test/', resolve)).toBeUndefined();
  });

  test('one that is not looked up in time is accepted', async () => {
    expect(await check('https://name.test/', hanging(), 50)).toBeUndefined();
  });
});

test.each(['127.0.0.1', '::ffff:127.0.0.1', '10.0.0.1'])(
  'a name that was outside when it was registered and is at %s at the attempt is blocked there',
  async (inside) => {
    const server = await rawServer(() => {}, 'eager');
    const url = `http://rebind.test:${server.port}/`;
    let at = '8.8.8.8';
    const resolve: Resolve = (...asked) => to(at)(...asked);
    expect(await check(url, resolve)).toBeUndefined();
    at = inside;
    const result = await loopbackSender({ policy: publicOnly, resolve }).send(post(url));
    expect(errorOf(result)).toEqual({ stage: 'blocked', code: 'blocked_address' });
    expect(server.connections()).toBe(0);
  },
);
