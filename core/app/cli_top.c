/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * `ringpost top`: asks once a second and draws what is answered. On a terminal the table is drawn in place, on the
 * other screen, with four ANSI sequences and nothing else; everywhere else it is text, one table after the other.
 * Signals are read from a descriptor, so that the terminal is given back whatever ends us.
 */
#include "core/admin/client.h"
#include "core/app/cli_command.h"
#include "core/app/cli_top_table.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { TOP_EVERY_MS = 1000, TOP_TEXT_BYTES = 1024 * 1024, TOP_HEAD_ROWS = 4 };

struct top {
    struct cli *cli;
    struct admin_request request;
    struct buf path; /* of the socket */
    struct buf error;
    struct buf rows;
    struct buf screen;
    struct cli_top_totals now;
    struct cli_top_totals before;
    bool json;
    bool unreadable;
};

static void top_on_line(void *ctx, struct slice json)
{
    struct top *t = ctx;
    if (t->json) {
        fprintf(t->cli->out, "%.*s\n", SLICE_ARG(json));
    } else if (!t->now.known) {
        t->unreadable = !cli_top_read_totals(json, &t->now) || t->unreadable;
    } else {
        t->unreadable = !cli_top_add_site(&t->rows, json) || t->unreadable;
    }
}

static int top_ask(struct top *t)
{
    struct admin_client_sink sink = {.line = top_on_line, .ctx = t};
    t->before = t->now;
    t->now = (struct cli_top_totals){0};
    buf_clear(&t->rows);
    buf_clear(&t->error);
    enum admin_client_result result = admin_client_call(buf_slice(&t->path), &t->request,
                                                        ADMIN_CLIENT_TIMEOUT_MS, &sink, &t->error);
    if (result == ADMIN_CLIENT_OK && t->unreadable) {
        buf_add(&t->error, SLICE("the engine sent a line that this version cannot read"));
        return CLI_FAILURE;
    }
    return result == ADMIN_CLIENT_OK            ? CLI_OK
           : result == ADMIN_CLIENT_UNREACHABLE ? CLI_UNREACHABLE
                                                : CLI_FAILURE;
}

static void top_draw(struct top *t, size_t width)
{
    struct buf whole;
    buf_init(&whole, TOP_TEXT_BYTES);
    cli_top_add_head(&whole, &t->now, &t->before);
    cli_top_add_columns(&whole);
    buf_add(&whole, buf_slice(&t->rows));
    cli_top_add_cut(&t->screen, buf_slice(&whole), width);
    buf_deinit(&whole);
}

/* ---- text, one table after the other ---- */

static int top_print(struct top *t, uint32_t number)
{
    static const struct timespec second = {.tv_sec = TOP_EVERY_MS / 1000};
    int status = CLI_OK;
    if (!t->json && number) { /* rates are of a second before the first table */
        status = top_ask(t);
        nanosleep(&second, NULL);
    }
    for (uint32_t n = 0; status == CLI_OK && (!number || n < number); n++) {
        if (n) {
            nanosleep(&second, NULL);
        }
        status = top_ask(t);
        if (status == CLI_OK && !t->json) {
            buf_clear(&t->screen);
            top_draw(t, 0);
            fprintf(t->cli->out, "%s%.*s", n ? "\n" : "", SLICE_ARG(buf_slice(&t->screen)));
        }
        if (fflush(t->cli->out) != 0) {
            break; /* nobody reads it any more: cli_main says so */
        }
    }
    return status;
}

/* ---- a terminal ---- */

/* False: it is to end. */
static bool top_wait(int signals)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = signals, .events = POLLIN}};
    char keys[64];
    if (poll(fds, ARRAY_COUNT(fds), TOP_EVERY_MS) <= 0) {
        return true;
    }
    if (fds[1].revents) {
        struct signalfd_siginfo seen;
        return read(signals, &seen, sizeof(seen)) < 0; /* taken: it does not end us a second time */
    }
    ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
    for (ssize_t i = 0; i < n; i++) {
        if (keys[i] == 'q' || keys[i] == 'Q') {
            return false;
        }
    }
    return n > 0;
}

static int top_show(struct top *t, int signals, uint32_t number)
{
    int status = CLI_OK;
    for (uint32_t n = 0; status == CLI_OK && (!number || n < number); n++) {
        struct winsize size = {.ws_row = 24, .ws_col = 80};
        if (n && !top_wait(signals)) {
            break;
        }
        (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        uint32_t rows = size.ws_row > TOP_HEAD_ROWS + 1 ? size.ws_row - TOP_HEAD_ROWS - 1u : 1;
        t->request.limit = rows < ADMIN_TOP_MAX ? rows : ADMIN_TOP_MAX;
        status = top_ask(t);
        if (status == CLI_OK) {
            buf_clear(&t->screen);
            buf_add(&t->screen, SLICE("\033[H")); /* home */
            top_draw(t, size.ws_col ? size.ws_col : 80);
            buf_add(&t->screen, SLICE("\033[J")); /* what is below is old */
            fwrite(t->screen.ptr, 1, t->screen.len, t->cli->out);
            fflush(t->cli->out);
        }
    }
    return status;
}

static int top_on_terminal(struct top *t, uint32_t number)
{
    struct termios before, raw;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    int signals = tcgetattr(STDIN_FILENO, &before) == 0 && sigprocmask(SIG_BLOCK, &set, NULL) == 0
                      ? signalfd(-1, &set, SFD_CLOEXEC)
                      : -1;
    if (signals < 0) {
        return top_print(t, number);
    }
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    fprintf(t->cli->out, "\033[?1049h"); /* the other screen */
    int status = top_show(t, signals, number);
    fprintf(t->cli->out, "\033[?1049l");
    fflush(t->cli->out);
    tcsetattr(STDIN_FILENO, TCSANOW, &before);
    close(signals);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    return status;
}

int cli_top(struct cli *cli, const struct cli_args *args)
{
    struct top t = {.cli = cli, .json = args->json};
    t.request = (struct admin_request){.verb = ADMIN_TOP, .limit = args->limit};
    if (args->limit > ADMIN_TOP_MAX) {
        fprintf(cli->err, "ringpost: --limit needs a number from 1 to %d here\n", ADMIN_TOP_MAX);
        return CLI_USAGE;
    }
    t.request.limit = args->limit ? args->limit : ADMIN_TOP_DEFAULT;
    buf_init(&t.path, 8192);
    buf_init(&t.error, ADMIN_REQUEST_BYTES_MAX);
    buf_init(&t.rows, TOP_TEXT_BYTES);
    buf_init(&t.screen, TOP_TEXT_BYTES);
    int status = cli_find_socket(cli, args, &t.path);
    if (status == CLI_OK) {
        bool terminal = !args->plain && !args->json && fileno(cli->out) == STDOUT_FILENO &&
                        isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
        status = terminal ? top_on_terminal(&t, args->number) : top_print(&t, args->number);
    }
    if (t.error.len) {
        fprintf(cli->err, "ringpost: %.*s\n", SLICE_ARG(buf_slice(&t.error)));
    }
    buf_deinit(&t.path);
    buf_deinit(&t.error);
    buf_deinit(&t.rows);
    buf_deinit(&t.screen);
    return status;
}
