export { type BreakableConnections, breakableConnections } from './breakable.ts';
export { consumerContract } from './consumer-contract.ts';
export { sampleRequest, sampleResult, sampleTokens } from './requests.ts';
export { openTcpProxy, type TcpProxy } from './tcp-proxy.ts';
export { all, eventually, soon } from './waiting.ts';
