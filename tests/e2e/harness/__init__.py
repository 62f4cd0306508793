# SPDX-License-Identifier: GPL-3.0-or-later
"""What end-to-end and crash tests share: the engine, a scripted sink, a raw client, peers, messages."""
