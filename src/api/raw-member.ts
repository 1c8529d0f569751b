export { rawMember } from '../domain/raw-member';
