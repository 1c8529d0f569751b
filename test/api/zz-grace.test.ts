import { startInstallation } from '../support/installation';
import { startReceiver } from '../support/receiver';
test('stop', async () => {
  const p = await startInstallation();
  const r = await startReceiver(() => 'hang');
  await p.api.createWebhook(r, { timeout: '30s' });
  await p.api.publish();
  await r.waitFor(1);
  const b = performance.now();
  await p.worker!.stop();
  console.log('worker.stop took', performance.now() - b);
  const c = performance.now();
  await p.stop(); await r.close();
  console.log('rest took', performance.now() - c);
});
