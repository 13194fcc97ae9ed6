/* A PKCS#11 module in front of another one, which does as that does until it is told otherwise.
 *
 * The file named by HSM_MOODS has a line for each function that is not to work as usual: NAME MILLISECONDS ANSWER NUMBER.
 * A call waits that long, or until the line is gone; an ANSWER other than 0 is then the answer, and nothing is asked of the
 * module behind. For C_GetTokenInfo NUMBER is or-ed to the flags, for C_GetMechanismList it is a mechanism that is hidden,
 * for C_Sign it is xor-ed to the first byte of the signature.
 * Every call of these functions is noted in the file named by HSM_CALLS. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef ulong_t (*call_t)(ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t, ulong_t);
struct functions {
    unsigned char version[2];
    call_t call[68];
};

static struct functions *behind, ours;

static int mood(const char *name, ulong_t *wait, ulong_t *answer, ulong_t *number) {
    const char *path = getenv("HSM_MOODS");
    FILE *file = path ? fopen(path, "r") : NULL;
    char found[64];
    int there = 0;
    *wait = *answer = *number = 0;
    while (file && !there && fscanf(file, "%63s %lu %lx %lx", found, wait, answer, number) == 4)
        there = !strcmp(found, name);
    if (!there)
        *wait = *answer = *number = 0;
    if (file)
        fclose(file);
    return there;
}

static ulong_t asked(const char *name, ulong_t *number) {
    ulong_t wait, answer, passed = 0;
    const char *path = getenv("HSM_CALLS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", name);
        fclose(file);
    }
    while (mood(name, &wait, &answer, number) && passed < wait) {
        usleep(5000);
        passed += 5;
    }
    mood(name, &wait, &answer, number);
    return answer;
}

#define PASSED(index, name)                                                                                             \
    static ulong_t name(ulong_t a, ulong_t b, ulong_t c, ulong_t d, ulong_t e, ulong_t f, ulong_t g, ulong_t h) {       \
        ulong_t number, answer = asked(#name, &number);                                                                \
        return answer ? answer : behind->call[index](a, b, c, d, e, f, g, h);                                          \
    }

PASSED(0, C_Initialize)
PASSED(12, C_OpenSession)
PASSED(18, C_Login)
PASSED(26, C_FindObjectsInit)
PASSED(42, C_SignInit)
PASSED(59, C_GenerateKeyPair)

static ulong_t C_GetTokenInfo(ulong_t slot, ulong_t info, ulong_t c, ulong_t d, ulong_t e, ulong_t f, ulong_t g, ulong_t h) {
    ulong_t number, answer = asked("C_GetTokenInfo", &number);
    if (!answer)
        answer = behind->call[6](slot, info, c, d, e, f, g, h);
    if (!answer)
        *(ulong_t *)(info + 96) |= number;
    return answer;
}

static ulong_t C_GetMechanismList(ulong_t slot, ulong_t list, ulong_t count, ulong_t d, ulong_t e, ulong_t f, ulong_t g,
                                  ulong_t h) {
    ulong_t number, answer = asked("C_GetMechanismList", &number);
    if (!answer)
        answer = behind->call[7](slot, list, count, d, e, f, g, h);
    for (ulong_t at = 0; !answer && list && at < *(ulong_t *)count; at++)
        if (((ulong_t *)list)[at] == number)
            ((ulong_t *)list)[at] = 0x80000001; /* a mechanism of some vendor */
    return answer;
}

static ulong_t C_Sign(ulong_t session, ulong_t data, ulong_t size, ulong_t signature, ulong_t e, ulong_t f, ulong_t g,
                      ulong_t h) {
    ulong_t number, answer = asked("C_Sign", &number);
    if (!answer)
        answer = behind->call[43](session, data, size, signature, e, f, g, h);
    if (!answer && signature)
        *(unsigned char *)signature ^= number;
    return answer;
}

ulong_t C_GetFunctionList(struct functions **list) {
    void *library = dlopen(BEHIND, RTLD_NOW | RTLD_LOCAL);
    ulong_t (*get)(struct functions **) = library ? (ulong_t(*)(struct functions **))dlsym(library, "C_GetFunctionList") : NULL;
    if (!get || get(&behind))
        return 5; /* CKR_GENERAL_ERROR */
    ours = *behind;
    ours.call[0] = C_Initialize;
    ours.call[6] = C_GetTokenInfo;
    ours.call[7] = C_GetMechanismList;
    ours.call[12] = C_OpenSession;
    ours.call[18] = C_Login;
    ours.call[26] = C_FindObjectsInit;
    ours.call[42] = C_SignInit;
    ours.call[43] = C_Sign;
    ours.call[59] = C_GenerateKeyPair;
    *list = &ours;
    return 0;
}
