import { costlyBatches } from './costly-batches';
import { errorLists } from './error-lists';
import { largeAnswers } from './large-answers';
import { names } from './names';
import type { Neighbour } from './neighbour';
import { operationalEvents } from './operational-events';
import { replays } from './replays';
import { scans } from './scans';
import { slots } from './slots';
import { together } from './together';
import { unreadAnswers } from './unread-answers';
import { waitingRequests } from './waiting-requests';

const PARTS_OF_B6 = [waitingRequests, largeAnswers, errorLists, scans, replays];

/** Those that are measured unless some are picked. What stores very much comes last: it stays. */
export const NEIGHBOURS: readonly Neighbour[] = [
  ...[slots, names, costlyBatches, unreadAnswers],
  ...[operationalEvents, together('B6', PARTS_OF_B6)],
];

/** What can be picked: the parts of B6 for themselves as well. */
export const ALL: readonly Neighbour[] = [...NEIGHBOURS, ...PARTS_OF_B6];
