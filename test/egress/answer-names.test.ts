import { closeAll, loopbackSender, post, rawServer } from './support';

afterEach(closeAll);

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', '__defineGetter__'])(
  'a header %s of an answer is kept like any other',
  async (name) => {
    const server = await rawServer((socket) =>
      socket.end(`HTTP/1.1 200 OK\r\n${name}: 1\r\n${name}: 2\r\nx-other: 3\r\ncontent-length: 0\r\n\r\n`),
    );
    const result = await loopbackSender().send(post(server.url));
    if (result.kind !== 'response') throw new Error(result.code);
    expect(Object.entries(result.headers)).toContainEqual([name.toLowerCase(), '1, 2']);
    expect(Object.entries(result.headers)).toContainEqual(['x-other', '3']);
  },
);
