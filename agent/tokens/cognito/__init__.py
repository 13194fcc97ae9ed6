"""Where does our identity token come from? From Amazon Cognito: a user of ours signs in there.

All that is known about user pools stands in this room: `srp` has the mathematics, `pool` sends and receives,
`refusals` knows what each error means, `sign_in` answers one challenge after the other, `state` keeps what renews a
sign-in, and `source` gives the tokens.
"""
