"""The language of the configuration, in Lark: `nginx.lark` is read by geng.conf.syntax. Ships as geng.grammar."""
