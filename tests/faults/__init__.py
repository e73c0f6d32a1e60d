"""The fault harness: a server between many clients and bad printers, killed again and again."""
