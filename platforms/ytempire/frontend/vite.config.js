import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// For `npm run dev`: where a running API answers.
const api = process.env.API_URL ?? 'http://localhost:8000';

export default defineConfig({
  plugins: [react()],
  server: { proxy: { '/api': api, '/media': api } },
});
