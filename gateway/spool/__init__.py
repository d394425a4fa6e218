"""The durable store: mails, jobs, attempts, the trail and the outbox. The only room that speaks SQL."""
