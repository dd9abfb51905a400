/* A server that costs little, for benchmarks of checkers.
 *
 *   checker_server PORT          accepts and closes
 *   checker_server PORT http     reads a request, answers 200 with 5 octets, closes
 *
 * Some processes share the listening socket, so that one slow client holds up nobody.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 8 };

static void serve(int listener, int http)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    char request[4096];

    for (;;) {
        int connection = accept(listener, NULL, NULL);

        if (connection < 0)
            continue;
        if (http && read(connection, request, sizeof(request)) > 0)
            (void)!write(connection, answer, strlen(answer));
        close(connection);
    }
}

int main(int count, char **arguments)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(arguments[1])) };
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;

    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 4096))
        return 1;
    for (int worker = 1; worker < WORKERS; worker++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            break;
        }
    serve(listener, count > 2);
}
