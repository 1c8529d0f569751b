export { rawItems, rawMember } from '../domain/raw-member';
