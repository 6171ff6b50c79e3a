// Exit 0 when n8n answers that it is ready to run workflows.
const port = process.env.N8N_PORT ?? '5678';
try {
  const answer = await fetch(`http://127.0.0.1:${port}/healthz/readiness`, {
    signal: AbortSignal.timeout(4000),
  });
  process.exit(answer.ok ? 0 : 1);
} catch (problem) {
  console.error(String(problem));
  process.exit(1);
}
