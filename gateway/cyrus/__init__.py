"""What Cyrus IMAP keeps on disk, read only: imapd.conf, names, mailbox list, ACL, quota, userdeny.

Versions 2.4 to the newest are understood, by what the files say of themselves.
Whatever cannot be read raises a StoreError; what that means for a recipient is
decided above.
"""
