import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

/** What the server says about a name: addresses of one family, an answer without any, an error, or nothing at all. */
export type DnsAnswer = string[] | 'nxdomain' | 'servfail' | 'refused' | 'silent';
export type DnsQuestion = { name: string; type: 'A' | 'AAAA' | 'NS' | 'other' };

export type DnsServer = {
  /** For `POSTHORN_DNS_SERVERS`. */
  address: string;
  /** What it was asked, in order. */
  questions: DnsQuestion[];
  asked(name: string): number;
  close(): Promise<void>;
};

const TYPES: Record<number, DnsQuestion['type']> = { 1: 'A', 28: 'AAAA', 2: 'NS' };
const RCODES = { nxdomain: 3, servfail: 2, refused: 5 };

/** A real name server (RFC 1035, over UDP) on loopback. Names come in lower case, without the last dot; the root is ''. */
export async function startDnsServer(
  answer: (question: DnsQuestion) => DnsAnswer | Promise<DnsAnswer>,
  port = 0,
): Promise<DnsServer> {
  const socket = createSocket('udp4');
  const questions: DnsQuestion[] = [];
  let closed = false;
  socket.on('message', async (message, from) => {
    const { question, end } = readQuestion(message);
    questions.push(question);
    const said = await answer(question);
    if (said !== 'silent' && !closed) socket.send(writeAnswer(message.subarray(0, end), said), from.port, from.address);
  });
  socket.bind(port, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${(socket.address() as AddressInfo).port}`,
    questions,
    asked: (name) => questions.filter((question) => question.name === name).length,
    async close() {
      closed = true;
      socket.close();
      await once(socket, 'close');
    },
  };
}

/** A server for names that are all at loopback, but for those that `dead` finds in them, which are never answered. */
export function startLoopbackDns(dead: RegExp, port = 0): Promise<DnsServer> {
  return startDnsServer(({ name, type }) => {
    if (dead.test(name)) return 'silent';
    return type === 'A' ? ['127.0.0.1'] : [];
  }, port);
}

function readQuestion(message: Buffer): { question: DnsQuestion; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = TYPES[message.readUInt16BE(at + 1)] ?? 'other';
  return { question: { name: labels.join('.').toLowerCase(), type }, end: at + 5 };
}

function writeAnswer(asked: Buffer, said: Exclude<DnsAnswer, 'silent'>): Buffer {
  const addresses = Array.isArray(said) ? said : [];
  const header = Buffer.from(asked);
  header.writeUInt16BE(0x8180 | (Array.isArray(said) ? 0 : RCODES[said]), 2);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  return Buffer.concat([header, ...addresses.map(record)]);
}

/** A resource record for the name that was asked for, for a minute. */
function record(address: string): Buffer {
  const data = address.includes(':') ? ipv6(address) : Buffer.from(address.split('.').map(Number));
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(data.length === 4 ? 1 : 28, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(60, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function ipv6(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::');
  const groups = (text: string) => (text ? text.split(':') : []);
  const zeros = Array<string>(8 - groups(head).length - groups(tail).length).fill('0');
  return Buffer.from(
    [...groups(head), ...zeros, ...groups(tail)].map((group) => group.padStart(4, '0')).join(''),
    'hex',
  );
}
