/* Makes Debian's keepalived run its checkers on a kernel without ip_vs, for benchmarks and comparisons only.
 *
 * keepalived looks for IPVS by generic netlink and, where the kernel has none, by socket options of a raw
 * socket (linux/ip_vs.h). This library answers those options with success and keeps nothing; every other
 * socket option goes to the C library.
 *
 *   gcc -shared -fPIC -O2 -o shim.so checker_ipvs_shim.c -ldl
 *   LD_PRELOAD=./shim.so keepalived -C -n -l -f FILE
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum {
    IP_VS_BASE_CTL = 64 + 1024 + 64,
    IP_VS_SO_GET_INFO = IP_VS_BASE_CTL + 1,
    IP_VS_LAST_CTL = IP_VS_BASE_CTL + 127,
    IP_VS_VERSION = 0x010201, /* 1.2.1, as every kernel since 2.6 says */
};

static int of_ipvs(int level, int name)
{
    return level == IPPROTO_IP && name >= IP_VS_BASE_CTL && name <= IP_VS_LAST_CTL;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
    static int (*next)(int, int, int, void *, socklen_t *);

    if (of_ipvs(level, name)) {
        /* struct ip_vs_getinfo: version, connection table size, number of services. */
        const unsigned int info[3] = { IP_VS_VERSION, 4096, 0 };

        memset(value, 0, *length);
        if (name == IP_VS_SO_GET_INFO && *length >= sizeof(info))
            memcpy(value, info, sizeof(info));
        return 0;
    }
    if (!next)
        next = (int (*)(int, int, int, void *, socklen_t *))dlsym(RTLD_NEXT, "getsockopt");
    return next(fd, level, name, value, length);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
    static int (*next)(int, int, int, const void *, socklen_t);

    if (of_ipvs(level, name))
        return 0;
    if (!next)
        next = (int (*)(int, int, int, const void *, socklen_t))dlsym(RTLD_NEXT, "setsockopt");
    return next(fd, level, name, value, length);
}
