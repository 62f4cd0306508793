/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * status - errno to enum io_status
 *
 * Purpose:   the decoding tables shared by the back ends; nothing above core/io reads errno.
 * Thread:    any. Errors: error must be > 0.
 */
#ifndef RINGPOST_IO_STATUS_H
#define RINGPOST_IO_STATUS_H

#include "core/io/io.h"

enum io_status io_status_of_socket(int error);
enum io_status io_status_of_file(int error);

#endif
