/**
 * Loaded into every Node process of the benchmark, the roles of Posthorn included (`node --require`): one whose
 * harness is gone, kill -9 included, ends too.
 */
process.once('disconnect', () => process.exit(1));
process.channel?.unref();
