"""What people use to verify recipients, side by side: RCPT by RCPT through a real smtpd."""
