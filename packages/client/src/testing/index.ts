export { clientContract } from './client-contract.ts';
