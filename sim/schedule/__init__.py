"""What a schedule is: passes and the values between them, its rules, its text and its files."""
