"""How does a person's sign-in become credentials of a role? By the access portal of IAM Identity Center."""
